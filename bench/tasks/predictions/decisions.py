"""Predictions that say yes or no to each class or choice of an example, of which several may be right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import Self, override

from bench.tasks.loyalty import fidelity_kl, probability_loyalty
from bench.tasks.predictions.form import Predictions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Decisions(Predictions):
    """`logits`: per example, the log-odds of each of its classes or choices; those above 0 are said to be right.

    The truth is the list of the indices that are right. A metric compares lists of 0 and 1.
    """

    logits: tuple[tuple[float, ...], ...]

    dtype = "int64"
    listed = True
    probable = True
    key: ClassVar[str]  # under which the log-odds of an example are stored

    @override
    def stored(self) -> list[Any]:
        return [{self.key: list(row)} for row in self.logits]

    @classmethod
    @override
    def holds(cls, value: Any) -> bool:
        return isinstance(value, dict) and set(value) == {cls.key}

    @classmethod
    @override
    def read(cls, stored: Sequence[Any]) -> Self:
        return cls(tuple(tuple(map(float, one[cls.key])) for one in stored))

    @override
    def compared(self, truth: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        said = [[int(value > 0) for value in row] for row in self.logits]
        true = [[int(i in known) for i in range(len(row))] for row, known in zip(self.logits, truth, strict=True)]
        return said, true

    @override
    def in_words(self, labels: Sequence[str]) -> list[Any]:
        """Per example the names of the labels that are said to be right; of a choice, 1 if it is and 0 if not."""
        rows = [[int(value > 0) for value in row] for row in self.logits]
        return [[name for name, yes in zip(labels, row, strict=True) if yes] for row in rows] if labels else rows

    @override
    def same(self, other: Predictions) -> Array | None:
        import numpy as np

        if not isinstance(other, Decisions):
            return None
        pairs = zip(self.logits, other.logits, strict=True)
        return np.array([[a > 0 for a in mine] == [b > 0 for b in its] for mine, its in pairs])

    @override
    def agreement(self, artifact: Predictions) -> dict[str, float | str]:
        found = super().agreement(artifact)
        if not isinstance(artifact, Decisions):
            return found
        mine, its = self._as_logits(), artifact._as_logits()
        return {
            **found,
            "probability_loyalty": probability_loyalty(mine, its),
            "fidelity_kl": fidelity_kl(mine, its),
            "output_correlation": "the task predicts labels, not scores",
        }

    @override
    def details(self, artifact: Predictions, labels: Sequence[str]) -> dict[str, Any]:
        return {
            "label_loyalty": f"share of examples with the same {self.called}",
            "probabilities": f"of yes and no, each of the {len(self._as_logits())} {self.called} by itself",
        }

    @override
    def as_classes(self, truth: Sequence[Any]) -> tuple[Array, list[int]]:
        return self._as_logits(), [right for row in self.compared(truth)[1] for right in row]

    def _as_logits(self) -> Array:
        """No and yes of every decision of every example, [decisions, 2]."""
        import numpy as np

        odds = np.array([value for row in self.logits for value in row], dtype=np.float64)
        return np.stack([np.zeros_like(odds), odds], axis=1)


@dataclass(frozen=True)
class ChoiceDecisions(Decisions):
    """One log-odds per choice; examples may have different numbers of them."""

    called = "judged choices"
    key = "choices"


@dataclass(frozen=True)
class LabelDecisions(Decisions):
    """One log-odds per label of the task."""

    called = "judged labels"
    key = "labels"
