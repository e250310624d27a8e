"""Accuracy: the share of examples whose predicted class is the true one."""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from bench.tasks.metrics.metric import METRICS, metric_info


@METRICS.register("accuracy")
class Accuracy(evaluate.Metric):  # type: ignore[misc]
    """Correct examples over all examples, in [0, 1]."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("share of right classes", "", "int64")

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        from sklearn.metrics import accuracy_score

        return {"accuracy": float(accuracy_score(references, predictions))}
