"""What training minimises: a weighted sum of terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind


class Term(ABC):
    """One part of the objective; its value is a mean over the batch."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """A scalar with a gradient towards `outputs`, which are what `model` gave for `batch`."""


class TaskTerm(Term):
    """The task's own loss against the labels."""

    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """The kind's loss, a mean over the batch."""
        return kind.loss(outputs, batch.targets)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A sum of (weight, term); terms of weight 0 are not computed."""

    terms: tuple[tuple[float, Term], ...] = ((1.0, TaskTerm()),)

    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """The weighted sum, a scalar."""
        parts = [weight * term.loss(model, batch, outputs, kind) for weight, term in self.terms if weight]
        return sum(parts[1:], start=parts[0])
