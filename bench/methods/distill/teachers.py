"""Who teaches a student, and every kind of teacher there is."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from typing_extensions import override

from bench.methods.base.choice import Choice, Choices
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod, frozen_reference

if TYPE_CHECKING:
    from torch import nn

    from bench.training.terms.teacher import Taught


class TeacherChoice(Choice):
    """One or more models whose outputs a student learns from, frozen or trained beside it."""

    def tasks(self) -> tuple[str, ...]:
        """Other tasks of the suite whose training data are used."""
        return ()

    @abstractmethod
    def taught(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> Taught:
        """The teachers, on the device of training, and the hooks that act on them while the student trains.

        Args:
            student: as it starts.
            lab: of the data that the student trains on.
            method: the stage; its `terms` say what is compared.
        """


TEACHERS: Choices[TeacherChoice] = Choices("teacher", modules=(), group="bench.teachers")


@TEACHERS.register("reference")
class ReferenceTeacher(TeacherChoice):
    """The reference, the model that was trained on the task before any compression; it is frozen."""

    @override
    def taught(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> Taught:
        from bench.training.terms.teacher import Taught, Teacher

        del student, method
        return Taught((Teacher(frozen_reference(lab)),))
