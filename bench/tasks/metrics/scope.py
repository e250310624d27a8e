"""Metrics of texts that belong to no class: how many a classifier finds, as a label and by a matched threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.columns import Column
from bench.tasks.metrics.context import Context
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import ClassLogits, Predictions

if TYPE_CHECKING:
    import numpy as np

    from bench.base.statistics import Score

    Array = np.ndarray[Any, Any]

ACCEPTED = 95  # percent of the in-scope texts of the split on which the threshold is chosen
_CLINC = "Larson et al. 2019 (CLINC150), arXiv:1909.02027, section 4"


class OutOfScopeRecall(Metric):
    """Share of the out-of-scope texts that get the task's label `out_of_scope`, in [0, 1].

    Undefined (raises `DataError`) if the task has no such label or no text has it.
    """

    name = "oos_recall"
    column = Column(
        "oos_recall",
        says="share of out-of-scope texts that are predicted to be out of scope",
        kind="score",
        show="percent",
        better="higher",
        source=_CLINC,
        oracle="tasks/test_class_metrics.py::test_out_of_scope_recall_counts_only_texts_that_are_out_of_scope",
        scale="share",
        in_quality="share",
    )
    takes = ClassLogits

    @override
    def compared(self, said: Predictions, truth: Sequence[Any], context: Context) -> tuple[list[Any], list[Any]]:
        """Per example 1 if it is said, or true, that it is out of scope, and 0 if not."""
        outside = _label(self.name, context)
        return self.refused(said, context).astype(int).tolist(), [int(label == outside) for label in truth]

    def refused(self, said: Predictions, context: Context) -> Array:
        """Which texts are said to be out of scope, bool [examples]."""
        refused: Array = _logits(self.name, said).classes == _label(self.name, context)
        return refused

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        if 1 not in references:
            raise DataError(f"{self.name}: undefined, because none of the {len(references)} texts is out of scope")
        found = [said for said, true in zip(predictions, references, strict=True) if true]
        return float(sum(found) / len(found))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        outside = np.asarray(references) == 1
        found = outside & (np.asarray(predictions) == 1)

        def score(indices: Array) -> float:
            total = outside[indices].sum()
            return float(found[indices].sum() / total) if total else float("nan")

        return score


class MatchedOutOfScopeRecall(OutOfScopeRecall):
    """Share of the out-of-scope texts that a threshold refuses which accepts 95 % of in-scope texts, in [0, 1].

    A text is accepted if its largest probability of an in-scope label, softmax over all labels, is at least the
    threshold: the highest one that accepts at least 95 % of the in-scope texts of the split `Task.threshold`, without
    one of the split that is scored. Every model has its own, so that two models are compared at one acceptance rate.
    The out-of-scope texts are not used to choose it. In an interval the threshold stays as it was chosen.
    """

    name = "matched_oos_recall"
    column = Column(
        "matched_oos_recall",
        says="share of out-of-scope texts below a threshold that accepts 95 % of in-scope texts",
        kind="score",
        show="percent",
        better="higher",
        source=f"{_CLINC} (oos-threshold); Hendrycks and Gimpel 2017, arXiv:1610.02136; the rate of 95 % is ours",
        oracle="tasks/test_class_metrics.py::test_the_matched_threshold_is_the_one_found_by_trying_all",
        scale="share",
        in_quality="share",
    )
    has_threshold = True

    @override
    def refused(self, said: Predictions, context: Context) -> Array:
        name = self.column.name
        if name not in context.thresholds:
            raise DataError(f"{name}: its threshold was not chosen; give the split to choose it on as task.threshold")
        refused: Array = self._confidence(said, context) < context.thresholds[name]
        return refused

    @override
    def threshold(self, said: Predictions, truth: Sequence[Any], context: Context) -> float:
        import numpy as np

        inside = np.asarray(truth) != _label(self.name, context)
        count = int(inside.sum())
        if not count:
            raise DataError(f"{self.name}: no threshold, because none of the {len(truth)} texts is in scope")
        kept = -(-ACCEPTED * count // 100)  # the least number that is 95 %
        return float(np.sort(self._confidence(said, context)[inside])[count - kept])

    @override
    def details(self, said: Predictions, truth: Sequence[Any], context: Context) -> dict[str, Any]:
        """The threshold, and the share of in-scope texts that are refused there by mistake."""
        import numpy as np

        refused = self.refused(said, context)[np.asarray(truth) != _label(self.name, context)]
        found: dict[str, Any] = {"threshold": context.thresholds[self.column.name]}
        return {**found, "false_positive_rate": float(refused.mean())} if len(refused) else found

    def _confidence(self, said: Predictions, context: Context) -> Array:
        """The largest probability of an in-scope label, [examples]."""
        import numpy as np
        from scipy.special import softmax

        inside = np.delete(softmax(_logits(self.name, said).logits, axis=1), _label(self.name, context), axis=1)
        largest: Array = inside.max(axis=1)
        return largest


def _label(metric: str, context: Context) -> int:
    if context.out_of_scope is None:
        raise DataError(
            f"{metric}: the task does not say which of its labels means out of scope; set out_of_scope to it"
        )
    return context.out_of_scope


def _logits(metric: str, said: Predictions) -> ClassLogits:
    if not isinstance(said, ClassLogits):
        raise DataError(f"{metric} needs predicted classes, not {said.called}")
    return said


COLUMNS = (OutOfScopeRecall.column, MatchedOutOfScopeRecall.column)

for _metric in (OutOfScopeRecall(), MatchedOutOfScopeRecall()):
    METRICS.register(_metric.name)(_metric)
