"""Who teaches a student, and every kind of teacher there is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod, frozen_reference

if TYPE_CHECKING:
    from torch import nn

    from bench.training.terms.teacher import Taught, Teacher


class TeacherChoice(Choice):
    """One or more models whose outputs a student learns from, frozen or trained beside it."""

    free: ClassVar[bool] = False  # whether it costs nothing, so that a stage of labels alone may have it

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


TEACHERS: Choices[TeacherChoice] = Choices(
    "teacher",
    modules=("bench.methods.distill.frozen_teachers", "bench.methods.distill.moving_teachers"),
    group="bench.teachers",
)


class FrozenTeacher(TeacherChoice):
    """One or more models that do not change while the student trains."""

    stored: bool = Field(
        False,
        description="compute the outputs on all training examples beforehand and keep them in the cache, beside the "
        "data, for other recipes with the same teacher; 4 bytes per logit, 1 GiB at most",
    )

    @override
    def fits(self, method: TrainedMethod) -> None:
        terms = method.terms.working.values()
        if self.stored and not any(term.what.taught and (term.by or not term.what.layered) for term in terms):
            raise ValueError(
                "teacher.stored keeps outputs, and no term of the table asks for them. Leave it out, or give "
                "terms.logits a weight"
            )

    @abstractmethod
    def models(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> tuple[nn.Module, ...]:
        """The models, in evaluation mode on the device of training; the arguments are those of `taught`."""

    @override
    def taught(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> Taught:
        """Raises `MethodError` if outputs are to be `stored` that do not belong to single examples."""
        from bench.training.terms.teacher import Taught, Teacher

        teachers = tuple(Teacher(model) for model in self.models(student, lab, method=method))
        if self.stored:
            _recall(teachers, lab)
        return Taught(teachers)


def require_labels(lab: Lab, teacher: TeacherChoice) -> None:
    """Raise `MethodError` for a teacher that trains, if the data have no labels for it."""
    if not lab.features or not lab.features[0].targets:
        raise MethodError(
            f"distill: teacher '{teacher.called}' learns from labels, and the data that the student is taught on have "
            f"none. Use teacher = 'reference', or data = 'task'."
        )


def _recall(teachers: Sequence[Teacher], lab: Lab) -> None:
    from bench.tasks.kinds.kind import KINDS
    from bench.training.teaching.stored import recall

    kind = KINDS.get(lab.task.kind)
    pad = lab.tokenizer.pad_token_id
    read = [
        recall(teacher, lab.features, kind, pad_id=pad, device=lab.device, folder=lab.folder) for teacher in teachers
    ]
    lab.counts["recalled_teachers"] = sum(read)


@TEACHERS.register("reference")
class ReferenceTeacher(FrozenTeacher):
    """The reference, the model that was trained on the task before any compression; it is frozen."""

    free: ClassVar[bool] = True

    @override
    def models(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> tuple[nn.Module, ...]:
        del student, method
        return (frozen_reference(lab),)
