"""Metrics over classes: accuracy, F1 of one class and of all, and the Matthews correlation, as GLUE and SuperGLUE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.columns import Column
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import ClassLogits, Predictions

if TYPE_CHECKING:
    import numpy as np

    from bench.base.statistics import Score

    Array = np.ndarray[Any, Any]

_ORACLE = "tasks/test_metrics.py::test_binary_metrics_equal_their_formulas_over_the_confusion_table"


class Accuracy(Metric):
    """Right examples over all examples, in [0, 1]."""

    name = "accuracy"
    column = Column(
        "accuracy",
        says="share of examples with the right predicted label",
        kind="score",
        show="percent",
        better="higher",
        source="Wang et al. 2018 (GLUE), arXiv:1804.07461",
        oracle=_ORACLE,
        scale="share",
        in_quality="share",
    )
    takes = ClassLogits

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(references, predictions))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        values = self.right(predictions, references).astype(float)
        return lambda indices: float(values[indices].mean())

    @override
    def right(self, predictions: Sequence[Any], references: Sequence[Any]) -> Array:
        classes, labels = _arrays(predictions, references)
        right: Array = classes == labels
        return right


class F1(Metric):
    """2TP / (2TP + FP + FN) of class 1, in [0, 1] (van Rijsbergen 1979), for two classes only.

    Class 1 is the second of the task's labels. `bench.plan.check` compares their order with that of the data set.
    Undefined (raises `DataError`) if no example has or is predicted to have class 1.
    """

    name = "f1"
    column = Column(
        "f1",
        says="F1 of the positive class, of the right ones among all choices, or for span QA of the answer's words",
        kind="score",
        show="percent",
        better="higher",
        source="van Rijsbergen 1979, Information Retrieval; for span QA Rajpurkar et al. 2016 (SQuAD), "
        "arXiv:1606.05250, section 6.1",
        oracle=_ORACLE,
        scale="share",
        in_quality="share",
    )
    takes = ClassLogits
    of_positive = True

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        from sklearn.metrics import f1_score

        seen = set(predictions) | set(references)
        if not seen <= {0, 1}:
            raise DataError(
                f"f1: found the classes {sorted(seen)}, but F1 is defined here only for class 1 against class 0"
            )
        if 1 not in seen:
            raise DataError("f1: undefined, because no example has or is predicted to have the positive class 1")
        return float(f1_score(references, predictions, pos_label=1, average="binary"))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        classes, labels = _arrays(predictions, references)
        both, either = ((classes == 1) & (labels == 1)).astype(int), (classes == 1).astype(int) + (labels == 1)

        def score(indices: Array) -> float:
            positives = either[indices].sum()  # predicted plus true ones
            return float(2 * both[indices].sum() / positives) if positives else np.nan

        return score

    @override
    def check(self, predictions: Predictions) -> None:
        if isinstance(predictions, ClassLogits) and predictions.logits.shape[-1] != 2:
            classes = predictions.logits.shape[-1]
            raise DataError(f"f1 is defined for two classes; this task has {classes}. Use accuracy.")


class MacroF1(Metric):
    """Mean over the classes of their F1, in [0, 1], as scikit-learn averages it with `zero_division=0`.

    The classes are those that an example has or is predicted to have: one that occurs on neither side is left out, and
    one that is never right counts with 0. SuperGLUE scores CB so.
    """

    name = "macro_f1"
    column = Column(
        "macro_f1",
        says="mean of the classes' F1, over the classes that occur or are predicted",
        kind="score",
        show="percent",
        better="higher",
        source="Wang et al. 2019 (SuperGLUE), arXiv:1905.00537, section 3.1; scikit-learn's f1_score, average='macro'",
        oracle="tasks/test_class_metrics.py::test_macro_f1_is_the_mean_of_each_class_against_the_rest",
        scale="share",
        in_quality="share",
    )
    takes = ClassLogits

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(references, predictions, average="macro", zero_division=0))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        classes, labels = _arrays(predictions, references)
        count = int(max(classes.max(), labels.max())) + 1
        right = np.where(classes == labels, labels, count)  # wrong ones are counted apart

        def score(indices: Array) -> float:
            either = np.bincount(classes[indices], minlength=count) + np.bincount(labels[indices], minlength=count)
            both = np.bincount(right[indices], minlength=count + 1)[:count]
            seen = either > 0
            return float((2 * both[seen] / either[seen]).mean())

        return score


class MatthewsCorrelation(Metric):
    """Correlation of predicted and true class, in [-1, 1] (Matthews 1975; several classes: Gorodkin 2004, R_K).

    0 if either side is constant: the usual convention for a limit that does not exist (scikit-learn's too).
    """

    name = "mcc"
    column = Column(
        "mcc",
        says="Matthews correlation coefficient",
        kind="score",
        show="percent",
        better="higher",
        source="Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006",
        oracle=_ORACLE,
        scale="correlation",
        in_quality="correlation",
    )
    takes = ClassLogits

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        from sklearn.metrics import matthews_corrcoef

        if len(set(predictions)) == 1 or len(set(references)) == 1:
            return 0.0
        return float(matthews_corrcoef(references, predictions))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        classes, labels = _arrays(predictions, references)
        count = int(max(classes.max(), labels.max())) + 1
        cells = labels * count + classes

        def score(indices: Array) -> float:
            table = np.bincount(cells[indices], minlength=count * count).reshape(count, count).astype(float)
            true, said, total = table.sum(axis=1), table.sum(axis=0), table.sum()
            spread = (total**2 - said @ said) * (total**2 - true @ true)
            return float((table.trace() * total - true @ said) / np.sqrt(spread)) if spread > 0 else 0.0

        return score


def _arrays(predictions: Sequence[Any], references: Sequence[Any]) -> tuple[Array, Array]:
    import numpy as np

    return np.asarray(predictions, dtype=np.int64), np.asarray(references, dtype=np.int64)


COLUMNS = (Accuracy.column, F1.column, MacroF1.column, MatthewsCorrelation.column)

for _metric in (Accuracy(), F1(), MacroF1(), MatthewsCorrelation()):
    METRICS.register(_metric.name)(_metric)
