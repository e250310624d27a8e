"""Metrics of how a binary classifier ranks examples: false-positive rate at 99 % recall, area under the curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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

RECALL = 99  # percent


class Ranked(Metric):
    """A metric of the order of examples by the logit of class 1 minus that of class 0, for two classes only.

    This difference orders examples as the probability of class 1 does, and large ones stay distinct. Class 1, the
    second of the task's labels, is the positive one. Undefined (raises `DataError`) if all examples have one class.
    """

    takes = ClassLogits
    of_positive = True

    @property
    @override
    def dtype(self) -> str:
        return "float64"

    @override
    def compared(self, said: Predictions, truth: Sequence[Any], context: Context) -> tuple[list[Any], list[Any]]:
        logits = self._binary(said)  # [examples, 2]
        return (logits[:, 1] - logits[:, 0]).tolist(), [float(label) for label in truth]

    @override
    def check(self, predictions: Predictions) -> None:
        self._binary(predictions)

    def _binary(self, predictions: Predictions) -> Array:
        if not isinstance(predictions, ClassLogits):
            raise DataError(f"{self.name} needs probabilities of classes, not {predictions.called}")
        classes = predictions.logits.shape[-1]
        if classes != 2:
            raise DataError(f"{self.name} is defined for two classes; this task has {classes}")
        return predictions.logits

    def _check_both(self, references: Sequence[float]) -> None:
        if len(set(references)) < 2:
            raise DataError(f"{self.name}: undefined, because all {len(references)} examples have the same class")


class FalsePositivesAtRecall(Ranked):
    """Share of class 0 at or above the highest threshold that at least 99 % of class 1 reach, in [0, 1].

    The threshold is chosen on the examples that are scored, as on a receiver operating characteristic, so that two
    models are compared at one recall. It counts in quality as 1 minus the rate.
    """

    name = "fpr_at_99_recall"
    column = Column(
        "fpr_at_99_recall",
        says="false-positive rate at the highest threshold with a recall of at least 99 %",
        kind="score",
        show="percent",
        better="lower",
        source="Fawcett 2006, doi:10.1016/j.patrec.2005.10.010, section 4; it counts in quality as 1 minus the rate",
        oracle="tasks/test_class_metrics.py::test_the_rate_at_99_percent_recall_is_a_point_of_the_curve_of_scikit_learn",
        scale="share",
        in_quality="share",
    )

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        import numpy as np

        self._check_both(references)
        return self.on_chosen(predictions, references)(np.arange(len(references)))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        ranking = _ByScore.of(predictions, references)

        def score(indices: Array) -> float:
            _, negatives, place = ranking.at_recall(indices)
            return float("nan") if place is None else float(negatives[place] / negatives[-1])

        return score

    @override
    def as_quality(self, value: float) -> float:
        return 1 - value

    @override
    def details(self, said: Predictions, truth: Sequence[Any], context: Context) -> dict[str, Any]:
        import numpy as np

        predictions, references = self.compared(said, truth, context)
        ranking = _ByScore.of(predictions, references)
        positives, _, place = ranking.at_recall(np.arange(len(truth)))
        if place is None:
            return {}
        threshold = 1 / (1 + np.exp(-ranking.values[place]))
        return {"threshold": float(threshold), "recall": float(positives[place] / positives[-1])}


class AreaUnderCurve(Ranked):
    """Probability that a random example of class 1 is ranked above one of class 0, ties counting half, in [0, 1]."""

    name = "auroc"
    column = Column(
        "auroc",
        says="area under the receiver operating characteristic of the positive class",
        kind="score",
        show="percent",
        better="higher",
        source="Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747",
        oracle="tasks/test_class_metrics.py::test_the_area_under_the_curve_counts_pairs_in_the_right_order",
        scale="share",
        in_quality="share",
    )

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        from sklearn.metrics import roc_auc_score

        self._check_both(references)
        return float(roc_auc_score(references, predictions))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        ranking = _ByScore.of(predictions, references)

        def score(indices: Array) -> float:
            positives, negatives = ranking.counted(indices)
            total = positives[-1] * negatives[-1]
            if not total:
                return float("nan")
            above = positives - (positives - _before(positives)) / 2  # positives ranked above, ties counting half
            return float(((negatives - _before(negatives)) * above).sum() / total)

        return score


class _ByScore(NamedTuple):
    """Examples by score: the distinct `values`, descending, and per example the `place` of its own and its class."""

    values: Array
    places: Array
    positive: Array

    @classmethod
    def of(cls, predictions: Sequence[Any], references: Sequence[Any]) -> _ByScore:
        import numpy as np

        values, places = np.unique(-np.asarray(predictions, dtype=np.float64), return_inverse=True)
        return cls(-values, places, np.asarray(references) == 1)

    def counted(self, indices: Array) -> tuple[Array, Array]:
        """How many chosen examples of class 1, and of class 0, are at each value or above it."""
        import numpy as np

        places, positive = self.places[indices], self.positive[indices]
        found = [np.bincount(places[side], minlength=len(self.values)).cumsum() for side in (positive, ~positive)]
        return found[0], found[1]

    def at_recall(self, indices: Array) -> tuple[Array, Array, int | None]:
        """The counts, and the first place with a recall of at least `RECALL` percent; None if one class is absent."""
        import numpy as np

        positives, negatives = self.counted(indices)
        if not positives[-1] or not negatives[-1]:
            return positives, negatives, None
        return positives, negatives, int(np.argmax(100 * positives >= RECALL * positives[-1]))


def _before(sums: Array) -> Array:
    """Running sums, each without its own term."""
    import numpy as np

    return np.concatenate([[0], sums[:-1]])


COLUMNS = (FalsePositivesAtRecall.column, AreaUnderCurve.column)

for _metric in (FalsePositivesAtRecall(), AreaUnderCurve()):
    METRICS.register(_metric.name)(_metric)
