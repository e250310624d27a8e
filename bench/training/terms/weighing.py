"""Factors on the losses of single examples."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from bench.base.errors import MethodError
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.terms.teacher import Teacher


class Weigher(ABC):
    """Gives each example of a batch a factor for its losses in a term."""

    @abstractmethod
    def factors(self, batch: Batch, kind: TaskKind, teacher: Teacher | None) -> Tensor | None:
        """[batch], without a gradient; None is 1 for each.

        Args:
            batch: on the device of training; its `rows` are positions in the training set.
            kind: of the task.
            teacher: whom the term compares with; None for a term without a teacher.
        """

    def sharpness(self, batch: Batch, kind: TaskKind, teacher: Teacher) -> Tensor | None:
        """A factor on each example's outputs of the teacher, [batch]: below 1 its distribution is smoother; None is 1.

        The arguments are those of `factors`.
        """
        del batch, kind, teacher
        return None


class ByTeacherError(Weigher):
    """1 / (1 + the teacher's loss on the example), remembered unless the teacher moves."""

    def __init__(self) -> None:
        self._known: dict[tuple[Teacher, int], float] = {}

    @override
    def factors(self, batch: Batch, kind: TaskKind, teacher: Teacher | None) -> Tensor:
        if teacher is None:
            raise MethodError("weights by the teacher's error need a term that is compared with a teacher")
        device = batch.inputs["input_ids"].device
        keys = [(teacher, row) for row in batch.rows]
        if teacher.moving or not all(key in self._known for key in keys):
            with torch.no_grad():
                found = 1.0 / (1.0 + kind.example_losses(teacher.ran(batch), batch).float())
            if teacher.moving:
                return found
            self._known |= dict(zip(keys, found.tolist(), strict=True))
        return torch.tensor([self._known[key] for key in keys], device=device)
