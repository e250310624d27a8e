"""Matthews correlation coefficient, the official metric of CoLA and of the GLUE diagnostic set."""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from bench.tasks.metrics.metric import METRICS, metric_info


@METRICS.register("mcc")
class MatthewsCorrelation(evaluate.Metric):  # type: ignore[misc]
    """Correlation of predicted and true class, in [-1, 1] (Matthews 1975; several classes: Gorodkin 2004, R_K).

    0 where either side is constant: the usual convention for a limit that does not exist (scikit-learn's too).
    """

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("Matthews correlation", "Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006", "int64")

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        from sklearn.metrics import matthews_corrcoef

        if len(set(predictions)) == 1 or len(set(references)) == 1:
            return {"mcc": 0.0}
        return {"mcc": float(matthews_corrcoef(references, predictions))}
