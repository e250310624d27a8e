"""Predictions of one class per example: a logit for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import Self, override

from bench.tasks.loyalty import (
    fidelity_kl,
    label_loyalty,
    loyalty_by_class,
    loyalty_by_confidence,
    probability_loyalty,
)
from bench.tasks.predictions.form import Predictions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ClassLogits(Predictions):
    """`logits` [examples, classes] float64; the class is that of the largest, the first among equals.

    If the classes of an example are its choices, there may be fewer than in another: missing ones have the lowest
    finite number of 32 bits, so that their probability is 0.
    """

    logits: Array

    called = "logits"
    dtype = "int64"
    probable = True

    @override
    def stored(self) -> list[Any]:
        return list(self.logits.tolist())

    @classmethod
    @override
    def holds(cls, value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(number, int | float) for number in value)

    @classmethod
    @override
    def read(cls, stored: Sequence[Any]) -> Self:
        return cls(as_rectangle(stored))

    @override
    def compared(self, truth: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return self.classes.tolist(), [int(label) for label in truth]

    @override
    def as_classes(self, truth: Sequence[Any]) -> tuple[Array, list[int]]:
        return self.logits, [int(label) for label in truth]

    @property
    def classes(self) -> Array:
        """The predicted classes, [examples] int64."""
        found: Array = self.logits.argmax(axis=1)
        return found

    @override
    def folded(self, classes: Sequence[int]) -> Self:
        """Logits [examples, new classes] whose softmax is the sum of the probabilities: the log-sum-exp of logits."""
        import numpy as np
        from scipy.special import logsumexp

        places, new = np.asarray(classes), range(max(classes) + 1)
        return type(self)(np.stack([logsumexp(self.logits[:, places == each], axis=1) for each in new], axis=1))

    @override
    def in_words(self, labels: Sequence[str]) -> list[Any]:
        return [labels[index] if labels else index for index in self.classes.tolist()]

    @override
    def same(self, other: Predictions) -> Array | None:
        return self.classes == other.classes if isinstance(other, ClassLogits) else None

    @override
    def agreement(self, artifact: Predictions) -> dict[str, float | str]:
        if not isinstance(artifact, ClassLogits):
            return super().agreement(artifact)
        return {
            "label_loyalty": label_loyalty(self.logits, artifact.logits),
            "probability_loyalty": probability_loyalty(self.logits, artifact.logits),
            "fidelity_kl": fidelity_kl(self.logits, artifact.logits),
            "output_correlation": "the task predicts labels, not scores",
        }

    @override
    def details(self, artifact: Predictions, labels: Sequence[str]) -> dict[str, Any]:
        if not isinstance(artifact, ClassLogits):
            return {}
        return {
            "loyalty_by_class": loyalty_by_class(self.logits, artifact.logits, labels),
            "loyalty_by_confidence": loyalty_by_confidence(self.logits, artifact.logits),
        }


def as_rectangle(rows: Sequence[Sequence[float]]) -> Array:
    """Rows of different lengths as one array [rows, longest] float64, filled up as `ClassLogits` says."""
    import numpy as np

    longest = max(map(len, rows), default=0)
    missing = float(np.finfo(np.float32).min)
    if all(len(row) == longest for row in rows):
        return np.asarray(rows, dtype=np.float64)
    return np.asarray([[*row, *[missing] * (longest - len(row))] for row in rows], dtype=np.float64)
