"""Predictions that are numbers: a score per example, or the loss of its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import Self, override

from bench.tasks.loyalty import output_correlation
from bench.tasks.predictions.form import OF_ITSELF, PROBABILITY, Predictions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ScoreValues(Predictions):
    """`values` [examples] float64, in the unit of the task's scores."""

    values: Array

    called = "values"
    dtype = "float64"

    @override
    def stored(self) -> list[Any]:
        return list(self.values.tolist())

    @classmethod
    @override
    def holds(cls, value: Any) -> bool:
        return isinstance(value, int | float)

    @classmethod
    @override
    def read(cls, stored: Sequence[Any]) -> Self:
        import numpy as np

        return cls(np.asarray(stored, dtype=np.float64))

    @override
    def compared(self, truth: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return self.values.tolist(), [float(label) for label in truth]

    @override
    def agreement(self, artifact: Predictions) -> dict[str, float | str]:
        if not isinstance(artifact, ScoreValues):
            return super().agreement(artifact)
        correlation = output_correlation(self.values, artifact.values)
        constant = "one of the two models gives the same output for every example"
        return {
            "label_loyalty": "a regression output is not a label",
            **dict.fromkeys(PROBABILITY, "a regression output is not a probability"),
            "output_correlation": constant if correlation is None else correlation,
        }


@dataclass(frozen=True)
class TextLosses(Predictions):
    """`losses` [examples, 2] float64: negative log-likelihood of a text in nats, and its number of predicted tokens."""

    losses: Array

    called = "losses"
    dtype = "float64"
    needs_truth = False

    @override
    def stored(self) -> list[Any]:
        return [{"nats": nats, "tokens": tokens} for nats, tokens in self.losses.tolist()]

    @classmethod
    @override
    def holds(cls, value: Any) -> bool:
        return isinstance(value, dict) and set(value) == {"nats", "tokens"}

    @classmethod
    @override
    def read(cls, stored: Sequence[Any]) -> Self:
        import numpy as np

        return cls(np.array([(one["nats"], one["tokens"]) for one in stored], dtype=np.float64))

    @override
    def compared(self, truth: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        nats, tokens = self.losses.T.tolist()
        return nats, tokens

    @override
    def agreement(self, artifact: Predictions) -> dict[str, float | str]:
        return dict.fromkeys(OF_ITSELF, "a language model's losses are not labels; see the next tokens")
