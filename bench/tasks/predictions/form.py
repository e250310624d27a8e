"""The form of what a model says of the examples of a task: how it is stored, compared and agreed on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import Self

from bench.base.errors import DataError, UnavailableError

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
