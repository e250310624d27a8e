"""The data that a student is taught on, and every choice of them there is."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from typing_extensions import override

from bench.methods.base.choice import Choice, Choices
from bench.methods.base.method import Lab

if TYPE_CHECKING:
    from torch import nn

    from bench.training.hooks import Hook


class Transfer(Choice):
    """The transfer set: the task's examples, more of them, or other texts."""

    def tasks(self) -> tuple[str, ...]:
        """Other tasks of the suite whose training data are used."""
        return ()

    @abstractmethod
    def prepared(self, lab: Lab) -> tuple[Lab, tuple[Hook, ...]]:
        """The lab that student and teacher are made in and trained with, and the hooks of its data."""

    def finished(self, student: nn.Module, model: nn.Module, lab: Lab) -> nn.Module:
        """What the stage gives: the student, or one with another head.

        Args:
            student: as it was trained.
            model: the given model of the stage.
            lab: as it was before `prepared`.
        """
        del model, lab
        return student


TRANSFER: Choices[Transfer] = Choices("transfer set", modules=(), group="bench.transfer")


@TRANSFER.register("task")
class TaskExamples(Transfer):
    """The training examples of the task, as they are."""

    @override
    def prepared(self, lab: Lab) -> tuple[Lab, tuple[Hook, ...]]:
        return lab, ()
