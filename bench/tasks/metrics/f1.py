"""Binary F1 of class 1, the second official metric of MRPC and QQP."""

from __future__ import annotations

from collections.abc import Sequence

import evaluate

from bench.base.errors import DataError
from bench.tasks.metrics.metric import METRICS, metric_info


@METRICS.register("f1")
class F1(evaluate.Metric):  # type: ignore[misc]
    """2TP / (2TP + FP + FN) of class 1, in [0, 1] (van Rijsbergen 1979).

    Undefined, and so a `DataError`, where no example is of class 1 and none is predicted to be; and where there is
    a class other than 0 and 1.
    """

    def _info(self) -> evaluate.MetricInfo:
        return metric_info("F1 of class 1", "van Rijsbergen 1979, Information Retrieval", "int64")

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        from sklearn.metrics import f1_score

        seen = set(predictions) | set(references)
        if not seen <= {0, 1}:
            raise DataError(f"f1: found the classes {sorted(seen)}, but F1 here is of class 1 against class 0 only")
        if 1 not in seen:
            raise DataError("f1: undefined, as no example is of the positive class 1 and none is predicted to be")
        return {"f1": float(f1_score(references, predictions, pos_label=1, average="binary"))}
