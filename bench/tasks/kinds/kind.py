"""What a task kind does: examples to tensors, model outputs to a loss and to predictions, predictions to scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bench.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from bench.suite import Task
    from bench.tasks.examples import Example


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One model input made from one example (span QA makes several, one a window).

    `inputs` are the tokenizer's lists (`input_ids`, `attention_mask`, perhaps `token_type_ids`), unpadded;
    `targets` what the loss needs (`labels`, or `start_positions` and `end_positions`); `example` the index of the
    example; `offsets` for span QA the (start, end) characters of each token in the context, None outside it.
    """

    inputs: dict[str, list[int]]
    targets: dict[str, int | float]
    example: int
    offsets: tuple[tuple[int, int] | None, ...] | None = None


class Batch(NamedTuple):
    """Padded features: `inputs` [batch, length] int64, `targets` [batch], `rows` the features' positions."""

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    rows: list[int]


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model says of every example, in the order of the examples; exactly one field is set.

    `logits` [examples, classes] float64 for classification, `values` [examples] float64 for regression, `answers`
    one string an example for span QA.
    """

    logits: np.ndarray[Any, Any] | None = None
    values: np.ndarray[Any, Any] | None = None
    answers: tuple[str, ...] | None = None


class TaskKind(ABC):
    """One kind of task; instances hold no state."""

    name: ClassVar[str]
    head: ClassVar[str]  # "sequence-classification" or "question-answering": which head a model needs

    @abstractmethod
    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """Unpadded features, at most `max_length` tokens each; with `training`, targets are filled in."""

    @abstractmethod
    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """The task's own training loss, a mean over the batch."""

    @abstractmethod
    def logits(self, outputs: Any) -> tuple[Tensor, ...]:
        """The output tensors a distillation term compares: [batch, classes], or start and end [batch, length]."""

    @abstractmethod
    def predict(
        self, outputs: Sequence[tuple[Any, ...]], features: Sequence[Feature], examples: Sequence[Example]
    ) -> Predictions:
        """Predictions from one tuple of numpy arrays a feature (what `logits` gave, unpadded, no batch axis)."""

    @abstractmethod
    def score(self, predictions: Predictions, examples: Sequence[Example], metrics: Sequence[str]) -> dict[str, float]:
        """The official metrics by column name; raises `DataError` where labels are hidden."""


KINDS: Registry[TaskKind] = Registry(
    "task kind",
    modules=(
        "bench.tasks.kinds.classification",
        "bench.tasks.kinds.regression",
        "bench.tasks.kinds.span_qa",
    ),
    group="bench.kinds",
)
