"""What a task kind does: examples to tensors, model outputs to a loss and to predictions, predictions to scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bench.base.registry import Registry

if TYPE_CHECKING:
    import random

    import numpy as np
    from torch import Tensor, nn

    from bench.spec.suite import Task
    from bench.tasks.examples import Example
    from bench.tasks.kinds.masking import Maskable


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One model input made from one example (span QA makes several, one a window).

    `inputs` are lists of token ids and masks (`input_ids`, `attention_mask`, perhaps `token_type_ids` or
    `decoder_input_ids`), unpadded: all that the model is called with; `targets` what the loss needs (`labels`, a number
    or for each token one, or `start_positions` and `end_positions`); `example` the index of the example; `offsets` for
    span QA the (start, end) characters of each token in the context, None outside it; `owners` for language modelling
    the index of the example that each token was read from; `text` for masked language modelling what it was before any
    token was masked.
    """

    inputs: dict[str, list[int]]
    targets: dict[str, int | float | list[int]]
    example: int
    offsets: tuple[tuple[int, int] | None, ...] | None = None
    owners: tuple[int, ...] | None = None
    text: Maskable | None = None


class Batch(NamedTuple):
    """Padded features: `inputs` [batch, length] int64, `rows` the features' positions.

    `targets` are [batch], or [batch, length] int64 where each token has one, -100 where there is nothing to predict.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    rows: list[int]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model says of every example, in the order of the examples; exactly one field is set.

    `logits` [examples, classes] float64 for classification, `values` [examples] float64 for regression, `answers`
    one string an example for span QA and translation, `losses` [examples, 2] float64 for language modelling, masked or
    not: the negative log-likelihood of a text in nats, and the number of its predicted tokens.
    """

    logits: np.ndarray[Any, Any] | None = None
    values: np.ndarray[Any, Any] | None = None
    answers: tuple[str, ...] | None = None
    losses: np.ndarray[Any, Any] | None = None

    def stored(self) -> dict[str, Any]:
        """As JSON values; `read` gives equal predictions."""
        arrays = {"logits": self.logits, "values": self.values, "losses": self.losses}
        found: dict[str, Any] = {name: array.tolist() for name, array in arrays.items() if array is not None}
        return found if self.answers is None else {**found, "answers": list(self.answers)}

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Predictions:
        """What `stored` wrote."""
        import numpy as np

        arrays = {name: np.asarray(value, np.float64) for name, value in stored.items() if name != "answers"}
        return cls(**arrays, answers=tuple(stored["answers"]) if "answers" in stored else None)


class TaskKind(ABC):
    """One kind of task; instances hold no state."""

    name: ClassVar[str]
    head: ClassVar[str]  # which head of `bench.models.heads` a model needs
    per_token: ClassVar[bool] = False  # whether `run` gives a value for every input token

    @abstractmethod
    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """Unpadded features, at most `max_length` tokens each; with `training`, targets are filled in."""

    def anew(self, feature: Feature, draws: random.Random) -> Feature:
        """An encoded feature as training sees it this time, with `draws` for what chance decides: by default itself."""
        del draws
        return feature

    @abstractmethod
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """The task's own training loss, a mean over the batch."""

    @abstractmethod
    def logits(self, outputs: Any) -> tuple[Tensor, ...]:
        """The output tensors a distillation term compares, of what the model gave for a batch's inputs.

        [batch, classes], start and end [batch, length], or [batch, length, vocabulary] where each token has a target.
        """

    def run(self, model: nn.Module, batch: Batch, tokenizer: Any) -> tuple[Tensor, ...]:
        """What `predict` reads, for one batch, each [batch, ...]: by default `logits` of one forward pass.

        The model is in evaluation mode and no gradient is kept. `tokenizer` is the one that belongs to it.
        """
        del tokenizer
        return self.logits(model(**batch.inputs))

    def conditions(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> dict[str, Any]:
        """What the scores of these examples depend on besides the model, as JSON values for the record."""
        del examples, tokenizer, task, max_length
        return {}

    @abstractmethod
    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any,
    ) -> Predictions:
        """Predictions from one tuple of numpy arrays a feature (what `run` gave, no batch axis).

        Where `per_token` is set the arrays are cut to the feature's own length.
        """

    @abstractmethod
    def score(self, predictions: Predictions, examples: Sequence[Example], metrics: Sequence[str]) -> dict[str, float]:
        """The official metrics by column name; raises `DataError` where labels are hidden."""


KINDS: Registry[TaskKind] = Registry(
    "task kind",
    modules=(
        "bench.tasks.kinds.classification",
        "bench.tasks.kinds.regression",
        "bench.tasks.kinds.span_qa",
        "bench.tasks.kinds.translation",
        "bench.tasks.kinds.language_modelling",
        "bench.tasks.kinds.masked_language_modelling",
    ),
    group="bench.kinds",
)
