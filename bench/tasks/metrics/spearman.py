"""Spearman rank correlation of predicted and true scores, the second official metric of STS-B."""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from bench.tasks.metrics.metric import METRICS, metric_info
from bench.tasks.metrics.pearson import check_varied


@METRICS.register("spearman")
class Spearman(evaluate.Metric):  # type: ignore[misc]
    """Pearson correlation of the ranks, ties sharing their mean rank; a `DataError` where one side is all equal."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("Spearman rank correlation", "Spearman 1904, doi:10.2307/1412159", "float64")

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        from scipy.stats import spearmanr

        check_varied("spearman", predictions, references)
        return {"spearman": float(spearmanr(predictions, references).statistic)}
