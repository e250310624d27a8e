"""The data that a student is taught on, and every choice of them there is."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import override

from bench.methods.base.choice import Choice, Choices
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod

if TYPE_CHECKING:
    from torch import nn

    from bench.training.terms.teacher import Taught


class Prepared(NamedTuple):
    """The lab that student and teacher are made in and trained with, and the model that the student is made from."""

    lab: Lab
    model: nn.Module


class Transfer(Choice):
    """The transfer set: the task's examples, more of them, or other texts."""

    def tasks(self) -> tuple[str, ...]:
        """Other tasks of the suite whose training data are used."""
        return ()

    @property
    def taught(self) -> bool:
        """Whether terms that it adds ask the teacher."""
        return False

    @abstractmethod
    def prepared(self, model: nn.Module, lab: Lab, *, method: TrainedMethod) -> Prepared:
        """What the student learns on, and from what it is made.

        Args:
            model: the given model of the stage.
            lab: of the task.
            method: the stage; its `terms` say what is asked of the data.

        Raises:
            MethodError: data that cannot be had, or that do not go with the model or the task.
        """

    def added(self, lab: Lab, student: nn.Module, taught: Taught) -> Taught:
        """The teachers with what the data add to the training: by default nothing."""
        del lab, student
        return taught

    def finished(self, student: nn.Module, lab: Lab) -> nn.Module:
        """What the stage gives: the student as it was trained, or with another head.

        Args:
            student: may become a part of the result.
            lab: as it was before `prepared`.
        """
        del lab
        return student


TRANSFER: Choices[Transfer] = Choices(
    "transfer set",
    modules=(
        "bench.methods.distill.transfer",
        "bench.methods.distill.augmented",
        "bench.methods.distill.mixup",
        "bench.methods.distill.corpus",
        "bench.methods.distill.written",
    ),
    group="bench.transfer",
)


@TRANSFER.register("task")
class TaskExamples(Transfer):
    """The training examples of the task, as they are."""

    @override
    def prepared(self, model: nn.Module, lab: Lab, *, method: TrainedMethod) -> Prepared:
        del method
        return Prepared(lab, model)
