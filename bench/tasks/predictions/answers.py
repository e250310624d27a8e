"""Predictions in words: answers that were written, cut out of a text, chosen, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import Self, override

from bench.tasks.loyalty import fidelity_kl, probability_loyalty
from bench.tasks.predictions.classes import as_rectangle
from bench.tasks.predictions.form import PROBABILITY, Predictions

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class WrittenAnswers(Predictions):
    """`answers`: a string per example, cut out of a context or written; the truth is a string or a list of them."""

    answers: tuple[str, ...]

    called = "answers"
    dtype = "string"
    nested = True

    @override
    def stored(self) -> list[Any]:
        return list(self.answers)

    @classmethod
    @override
    def holds(cls, value: Any) -> bool:
        return isinstance(value, str)

    @classmethod
    @override
    def read(cls, stored: Sequence[Any]) -> Self:
        return cls(tuple(stored))

    @override
    def compared(self, truth: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        return list(self.answers), [[known] if isinstance(known, str) else list(known) for known in truth]

    @override
    def in_words(self, labels: Sequence[str]) -> list[Any]:
        return list(self.answers)

    @override
    def same(self, other: Predictions) -> Array | None:
        import numpy as np

        if not isinstance(other, WrittenAnswers):
            return None
        return np.array([one == another for one, another in zip(self.answers, other.answers, strict=True)])

    @override
    def agreement(self, artifact: Predictions) -> dict[str, float | str]:
        return {
            **super().agreement(artifact),
            **dict.fromkeys(PROBABILITY, "an answer or a generated text has no class probabilities"),
            "output_correlation": "the task predicts answers, not scores",
        }

    @override
    def details(self, artifact: Predictions, labels: Sequence[str]) -> dict[str, Any]:
        return {"label_loyalty": "share of identical answers"}


@dataclass(frozen=True)
class ChosenAnswers(WrittenAnswers):
    """Answers that were chosen from each example's own candidates, and `scores`: one logit per candidate."""

    scores: tuple[tuple[float, ...], ...]

    called = "chosen answers"

    @override
    def stored(self) -> list[Any]:
        pairs = zip(self.answers, self.scores, strict=True)
        return [{"answer": answer, "scores": list(scores)} for answer, scores in pairs]

    @classmethod
    @override
    def holds(cls, value: Any) -> bool:
        return isinstance(value, dict) and set(value) == {"answer", "scores"}

    @classmethod
    @override
    def read(cls, stored: Sequence[Any]) -> Self:
        return cls(tuple(one["answer"] for one in stored), tuple(tuple(one["scores"]) for one in stored))

    @override
    def agreement(self, artifact: Predictions) -> dict[str, float | str]:
        found = super().agreement(artifact)
        if not isinstance(artifact, ChosenAnswers):
            return found
        mine, its = as_rectangle(self.scores), as_rectangle(artifact.scores)
        return {
            **found,
            "probability_loyalty": probability_loyalty(mine, its),
            "fidelity_kl": fidelity_kl(mine, its),
        }


@dataclass(frozen=True)
class AnswersOrNone(WrittenAnswers):
    """Answers of which some are empty, which says that there is no answer, by a threshold of the score difference.

    `best` is the best answer that is not empty, and `excess` [examples] by how much the score of no answer exceeds its
    score; an excess above the example's one of `thresholds` [examples] means no answer (Devlin et al. 2019, §4.3).
    """

    best: tuple[str, ...]
    excess: tuple[float, ...]
    thresholds: tuple[float, ...]

    @classmethod
    def of(cls, best: Sequence[str], excess: Sequence[float], *, threshold: float) -> Self:
        """Every example decided by one threshold."""
        answers = ["" if value > threshold else text for text, value in zip(best, excess, strict=True)]
        return cls(tuple(answers), tuple(best), tuple(excess), (threshold,) * len(answers))

    @override
    def stored(self) -> list[Any]:
        rows = zip(self.answers, self.best, self.excess, self.thresholds, strict=True)
        return [dict(zip(_DECIDED, row, strict=True)) for row in rows]

    @classmethod
    @override
    def holds(cls, value: Any) -> bool:
        return isinstance(value, dict) and set(value) == set(_DECIDED)

    @classmethod
    @override
    def read(cls, stored: Sequence[Any]) -> Self:
        return cls(*(tuple(one[name] for one in stored) for name in _DECIDED))

    @override
    def decided(self) -> dict[str, Any]:
        counts = {"answered": sum(map(bool, self.answers)), "examples": len(self.answers)}
        return {"thresholds": sorted(set(self.thresholds)), **counts}


_DECIDED = ("answer", "best", "null_excess", "threshold")
