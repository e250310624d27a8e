"""What a model says of the examples of a task: one class per form of prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import Self, override

from bench.base.errors import DataError, UnavailableError
from bench.tasks.loyalty import (
    fidelity_kl,
    label_loyalty,
    loyalty_by_class,
    loyalty_by_confidence,
    output_correlation,
    probability_loyalty,
)

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

PROBABILITY = ("probability_loyalty", "fidelity_kl")
OF_ITSELF = {
    "label_loyalty": 1.0,
    "probability_loyalty": 1.0,
    "fidelity_kl": 0.0,
    "output_correlation": 1.0,
    "ranking_overlap": 1.0,
}


@dataclass(frozen=True)
class Predictions(ABC):
    """What a model says of every example, in the order of the examples.

    `called` is the word for what one prediction is, in messages. `dtype` is the type of `compared`, as the `datasets`
    package names it; `nested` is True if an example may have several accepted references; `listed` is True if what is
    said and what is true of an example are both lists; `needs_truth` is False if the text of an example is itself what
    is predicted, so that no truth is needed for a score; `probable` is True if `as_classes` gives probabilities.
    """

    called: ClassVar[str]
    dtype: ClassVar[str]
    nested: ClassVar[bool] = False
    listed: ClassVar[bool] = False
    needs_truth: ClassVar[bool] = True
    probable: ClassVar[bool] = False

    @abstractmethod
    def stored(self) -> list[Any]:
        """One value per example, as it stands in a Parquet table: a number, a string, a list or a dictionary."""

    @classmethod
    @abstractmethod
    def holds(cls, value: Any) -> bool:
        """Whether a value read from a table is one of this form; no value may be of two forms."""

    @classmethod
    @abstractmethod
    def read(cls, stored: Sequence[Any]) -> Self:
        """The predictions that `stored` wrote."""

    @abstractmethod
    def compared(self, truth: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """What a metric compares, per example: what was said, and what is true.

        Args:
            truth: per example what `TaskKind.truth` gives, never None if `needs_truth`.
        """

    def as_classes(self, truth: Sequence[Any]) -> tuple[Array, list[int]]:
        """Logits [decisions, classes] and the true class of each, for calibration; only if `probable`.

        Args:
            truth: per example what `TaskKind.truth` gives, never None.
        """
        raise UnavailableError(f"{self.called} are not probabilities over classes")

    def decided(self) -> dict[str, Any]:
        """What was decided for all examples together, such as a threshold, as JSON values; by default nothing."""
        return {}

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> Self:
        """The predictions of several splits as one; all parts are of this form."""
        return cls.read([value for part in parts for value in part.stored()])

    def in_words(self, labels: Sequence[str]) -> list[Any]:
        """What is said of every example as people write it: a label's name, a score, an answer, by default as stored.

        `labels` are the task's; without them a class is its index.
        """
        del labels
        return self.stored()

    def chosen(self, rows: Sequence[int]) -> Self:
        """The predictions of the examples in these rows."""
        stored = self.stored()
        return self.read([stored[row] for row in rows])

    def folded(self, classes: Sequence[int]) -> Self:
        """The predictions with fewer classes: class k of the model becomes `classes[k]`; probabilities are summed.

        Raises `DataError` for predictions that are not probabilities over classes.
        """
        raise DataError(f"{self.called} are not probabilities over classes, so {len(classes)} labels cannot be folded")

    def same(self, other: Predictions) -> Array | None:
        """Whether both models say the same of an example, bool [examples]; None if that means nothing in this form."""
        del other
        return None

    def agreement(self, artifact: Predictions) -> dict[str, float | str]:
        """Every column of `OF_ITSELF` with the reference's predictions being these, or why it does not exist."""
        same = self.same(artifact)
        return {
            "label_loyalty": f"{self.called} are not labels" if same is None else float(same.mean()),
            **dict.fromkeys(PROBABILITY, f"{self.called} are not probabilities over classes"),
            "output_correlation": f"{self.called} are not scores",
        }

    def details(self, artifact: Predictions, labels: Sequence[str]) -> dict[str, Any]:
        """What a record keeps of the agreement besides its columns, as JSON values; `labels` are the task's."""
        del artifact, labels
        return {}


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
        return cls(_rectangle(stored))

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
        mine, its = _rectangle(self.scores), _rectangle(artifact.scores)
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


def _rectangle(rows: Sequence[Sequence[float]]) -> Array:
    """Rows of different lengths as one array [rows, longest] float64, filled up as `ClassLogits` says."""
    import numpy as np

    longest = max(map(len, rows), default=0)
    missing = float(np.finfo(np.float32).min)
    if all(len(row) == longest for row in rows):
        return np.asarray(rows, dtype=np.float64)
    return np.asarray([[*row, *[missing] * (longest - len(row))] for row in rows], dtype=np.float64)
