"""Pearson correlation of predicted and true scores, the first official metric of STS-B."""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from bench.base.errors import DataError
from bench.tasks.metrics.metric import METRICS, metric_info


def check_varied(metric: str, predictions: Sequence[float], references: Sequence[float]) -> None:
    """Raise `DataError` where a correlation does not exist: fewer than two examples, or a side that is constant."""
    for side, values in (("predictions", predictions), ("references", references)):
        if len(set(values)) < 2:
            raise DataError(f"{metric}: undefined, as all {len(values)} {side} are {values[0]:.6g}")


@METRICS.register("pearson")
class Pearson(evaluate.Metric):  # type: ignore[misc]
    """Linear correlation in [-1, 1]; a `DataError` where predictions or references are all equal."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("Pearson correlation", "Pearson 1895, doi:10.1098/rspl.1895.0041", "float64")

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        from scipy.stats import pearsonr

        check_varied("pearson", predictions, references)
        return {"pearson": float(pearsonr(predictions, references).statistic)}
