"""In which order a student learns what the terms ask for, and every curriculum there is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from bench.methods.base.choice import Choice, Choices
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod

if TYPE_CHECKING:
    from torch import nn

    from bench.training.hooks import Hook
    from bench.training.terms.teacher import Taught


class Curriculum(Choice):
    """How the budget of a distillation is spent."""

    @abstractmethod
    def run(self, method: TrainedMethod, student: nn.Module, lab: Lab, taught: Taught, hooks: Sequence[Hook]) -> None:
        """Train `student` in place by one or several calls of `method.tune`.

        Args:
            method: the stage.
            student: as it starts.
            lab: of the data that the student trains on.
            taught: the teachers and their hooks.
            hooks: those of the data.
        """


CURRICULA: Choices[Curriculum] = Choices("curriculum", modules=(), group="bench.curricula")


@CURRICULA.register("at-once")
class AtOnce(Curriculum):
    """All terms from the first step to the last."""

    @override
    def run(self, method: TrainedMethod, student: nn.Module, lab: Lab, taught: Taught, hooks: Sequence[Hook]) -> None:
        method.tune(student, lab, hooks=[*taught.hooks, *hooks], teachers=taught.teachers)
