"""The model that a student is taught by, whose outputs on each training example are computed once and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.tasks.features import Batch, Feature, as_rows
from bench.tasks.kinds.kind import TaskKind
from bench.training.hooks import Hook
from bench.training.objective import Term


class Teacher:
    """Gives the teacher's outputs for a batch; from the second epoch on they come from memory.

    The teacher is in evaluation mode. Unless it is `moving`, it is frozen, so its outputs on an example do not change
    while a student trains (the padding of the batch moves them by rounding only). Memory: four bytes a logit of the
    training set. No gradient flows from what is given here into the teacher unless it is `attached`.

    Args:
        model: on the device of training.
        moving: whether the teacher is trained as well, so that nothing may be remembered from one step to the next.
    """

    def __init__(self, model: nn.Module, *, moving: bool = False) -> None:
        self.model = model
        self.moving = moving
        self._known: dict[int, tuple[Tensor, ...]] = {}
        self._last: tuple[Batch, Any] | None = None
        self._attached = False

    @contextmanager
    def attached(self) -> Iterator[None]:
        """While it lasts gradients flow from the outputs of a moving teacher into it."""
        self._last = None
        self._attached = True
        try:
            yield
        finally:
            self._attached = False
            self._last = None

    def forget(self) -> None:
        """Drop what is remembered: the teacher has changed."""
        self._known.clear()
        self._last = None

    def run(self, batch: Batch) -> Any:
        """The teacher's outputs on a batch, run now, for terms that listen to its layers.

        They are kept until another batch is run, so that terms that need no more than the outputs need no second run.
        """
        # Inference tensors could not be saved for the student's backward pass.
        with torch.set_grad_enabled(self._attached):
            outputs: Any = self.model(**batch.inputs)
        self._last = (batch, outputs)
        return outputs

    def outputs(self, batch: Batch, kind: TaskKind) -> tuple[Tensor, ...]:
        """One tensor a head: [batch, classes or candidates], or [batch, length] if the outputs are over tokens."""
        if self.moving:
            return self.outputs_once(batch, kind)
        if not all(row in self._known for row in batch.rows):
            self._known.update(zip(batch.rows, self.by_row(batch, kind), strict=True))
        rows = [self._known[row] for row in batch.rows]
        join = _join(batch, kind)
        return tuple(join([row[head] for row in rows]) for head in range(len(rows[0])))

    def outputs_once(self, batch: Batch, kind: TaskKind) -> tuple[Tensor, ...]:
        """The same without a memory: for distributions over a vocabulary, of which a training set has too many."""
        return tuple(head.float() for head in kind.logits(self.ran(batch), batch))

    def ran(self, batch: Batch) -> Any:
        """The outputs of the last run if it was on this batch, else of a new one."""
        last = self._last
        return last[1] if last is not None and last[0] is batch else self.run(batch)

    def by_row(self, batch: Batch, kind: TaskKind) -> list[tuple[Tensor, ...]]:
        """Of each row of the batch one tensor a head, without padding: [classes or candidates] or [length]."""
        heads = self.outputs_once(batch, kind)
        lengths = batch.inputs["attention_mask"].sum(dim=1).tolist() if kind.over_tokens else batch.groups
        ends = [None] * len(batch.rows) if lengths is None else lengths
        return [
            tuple(head[index, :end] if end is not None else head[index] for head in heads)
            for index, end in enumerate(ends)
        ]

    def remember(self, outputs: Mapping[int, tuple[Tensor, ...]]) -> None:
        """Take the outputs of rows, each as `by_row` gives it, as if they had been run."""
        device = next(self.model.parameters()).device
        self._known.update({row: tuple(head.to(device) for head in heads) for row, heads in outputs.items()})


class Taught(NamedTuple):
    """Who teaches a student: the teachers, the hooks that act while the student trains, and terms beside the table's.

    The hooks come before all others. Terms stand with their weights. `features` are the examples that are left to the
    student if the teachers need some for themselves; None is all.
    """

    teachers: tuple[Teacher, ...]
    hooks: tuple[Hook, ...] = ()
    terms: tuple[tuple[float, Term], ...] = ()
    features: Sequence[Feature] | None = None


def _join(batch: Batch, kind: TaskKind) -> Callable[[list[Tensor]], Tensor]:
    """How what is remembered of single rows becomes what `TaskKind.logits` gives for a batch of them."""
    if batch.groups is not None:
        groups = batch.groups
        return lambda rows: as_rows(torch.cat(rows), groups)
    return _padded(batch.inputs["input_ids"].size(1)) if kind.over_tokens else torch.stack


def _padded(length: int) -> Callable[[list[Tensor]], Tensor]:
    """A function that stacks vectors of different lengths into [batch, `length`], zeros to the right."""

    def join(vectors: list[Tensor]) -> Tensor:
        stacked = vectors[0].new_zeros(len(vectors), length)
        for index, vector in enumerate(vectors):
            stacked[index, : len(vector)] = vector
        return stacked

    return join
