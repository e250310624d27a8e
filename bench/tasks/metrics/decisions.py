"""Metrics over yes and no: F1 over all answers and exact match by question (MultiRC), and those of several labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from bench.base.errors import DataError
from bench.columns import Column
from bench.tasks.metrics.answers import ExactMatch
from bench.tasks.metrics.classes import F1, MacroF1
from bench.tasks.metrics.metric import METRICS, Metric
from bench.tasks.predictions import ChoiceDecisions, LabelDecisions, Predictions

if TYPE_CHECKING:
    import numpy as np

    from bench.base.statistics import Score

    Array = np.ndarray[Any, Any]

_ORACLE = "tasks/test_several_labels.py::test_the_metrics_of_several_labels_are_scikit_learns"


class PooledF1(Metric):
    """2TP / (2TP + FP + FN) of "right" over the choices of all examples together: SuperGLUE's F1a.

    Khashabi et al. 2018 (MultiRC), doi:10.18653/v1/N18-1023, §3.2; Wang et al. 2019 (SuperGLUE), arXiv:1905.00537,
    table 1. Undefined (raises `DataError`) if nothing is right and nothing is said to be.
    """

    name = "pooled_f1"
    column = F1.column
    takes: ClassVar[type[Predictions]] = ChoiceDecisions

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        from sklearn.metrics import f1_score

        said, true = list(chain(*predictions)), list(chain(*references))
        if not any(said) and not any(true):
            raise DataError(f"{self.column.name}: undefined, because nothing is right and nothing is said to be right")
        return float(f1_score(true, said, pos_label=1, average="binary"))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        pairs = list(zip(predictions, references, strict=True))
        both = np.array([sum(a * b for a, b in zip(said, true, strict=True)) for said, true in pairs])
        either = np.array([sum(said) + sum(true) for said, true in pairs])

        def score(indices: Array) -> float:
            positives = either[indices].sum()  # predicted plus true ones
            return float(2 * both[indices].sum() / positives) if positives else np.nan

        return score


class MicroF1(PooledF1):
    """F1 over all labels of all examples together (van Rijsbergen 1979; micro-averaged as by Yang 1999)."""

    name = "micro_f1"
    column = Column(
        "micro_f1",
        says="F1 over the labels of all examples together",
        kind="score",
        show="percent",
        better="higher",
        source="Yang 1999, doi:10.1023/A:1009982220290",
        oracle=_ORACLE,
        scale="share",
        in_quality="share",
    )
    takes = LabelDecisions


class LabelMacroF1(Metric):
    """Mean over the labels of their F1, over those that an example has or is said to have (Yang 1999)."""

    name = "label_macro_f1"
    column = MacroF1.column
    takes = LabelDecisions

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        import numpy as np
        from sklearn.metrics import f1_score

        said, true = np.asarray(predictions), np.asarray(references)
        seen = np.flatnonzero((said | true).any(axis=0))
        if not len(seen):
            raise DataError("macro_f1: undefined, because no example has or is predicted to have a label")
        return float(f1_score(true, said, labels=seen, average="macro", zero_division=0))

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        import numpy as np

        said, true = np.asarray(predictions), np.asarray(references)  # [examples, labels]
        both, either = said * true, said + true

        def score(indices: Array) -> float:
            counts = either[indices].sum(axis=0)
            seen = counts > 0
            return float((2 * both[indices].sum(axis=0)[seen] / counts[seen]).mean()) if seen.any() else np.nan

        return score


class AllRight(Metric):
    """Share of examples of which every choice is judged right: SuperGLUE's exact match of MultiRC's questions."""

    name = "all_choices_right"
    column = ExactMatch.column
    takes: ClassVar[type[Predictions]] = ChoiceDecisions

    @override
    def compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return float(self.right(predictions, references).mean())

    @override
    def on_chosen(self, predictions: Sequence[Any], references: Sequence[Any]) -> Score:
        values = self.right(predictions, references).astype(float)
        return lambda indices: float(values[indices].mean())

    @override
    def right(self, predictions: Sequence[Any], references: Sequence[Any]) -> Array:
        import numpy as np

        return np.array([list(said) == list(true) for said, true in zip(predictions, references, strict=True)])


class SubsetAccuracy(AllRight):
    """Share of examples with exactly the right set of labels."""

    name = "subset_accuracy"
    column = Column(
        "subset_accuracy",
        says="share of examples with exactly the right set of labels",
        kind="score",
        show="percent",
        better="higher",
        source="Tsoumakas and Katakis 2007, doi:10.4018/jdwm.2007070101",
        oracle=_ORACLE,
        scale="share",
        in_quality="share",
    )
    takes = LabelDecisions


COLUMNS = (MicroF1.column, SubsetAccuracy.column)

for _metric in (PooledF1(), AllRight(), MicroF1(), LabelMacroF1(), SubsetAccuracy()):
    METRICS.register(_metric.name)(_metric)
