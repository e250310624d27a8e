"""Knowledge distillation: a student learns from teachers, by terms, in an order, on some data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator
from typing_extensions import override

from bench.methods.base.choice import Chosen
from bench.methods.base.method import METHODS, Lab
from bench.methods.base.terms.table import Terms
from bench.methods.base.trained import TrainedMethod
from bench.methods.distill.curricula import CURRICULA, Curriculum
from bench.methods.distill.students import STUDENTS, Student
from bench.methods.distill.teachers import TEACHERS, TeacherChoice
from bench.methods.distill.transfer import TRANSFER, Transfer
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn


@METHODS.register("distill")
class Distill(TrainedMethod):
    """Train a student towards what its teachers make of the data (Hinton et al. 2015, arXiv:1503.02531).

    Four choices and a table define a system: the student, the teacher, the curriculum, the data, and the terms of the
    objective. The defaults are half of the layers, taught by the reference's outputs at temperature 2 and by the labels
    in equal parts.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    student: Annotated[Student, Chosen(STUDENTS)] = Field(
        default_factory=STUDENTS.default("layers"), description="form and first weights of the student"
    )
    teacher: Annotated[TeacherChoice, Chosen(TEACHERS)] = Field(
        default_factory=TEACHERS.default("reference"), description="whom the student learns from"
    )
    curriculum: Annotated[Curriculum, Chosen(CURRICULA)] = Field(
        default_factory=CURRICULA.default("at-once"), description="in which order the student learns"
    )
    data: Annotated[Transfer, Chosen(TRANSFER)] = Field(
        default_factory=TRANSFER.default("task"), description="what the student is taught on"
    )
    terms: Terms = Field(
        default_factory=lambda: Terms.made(
            {"labels": 0.5, "logits": {"weight": 0.5, "divergence": {"name": "kl", "temperature": 2.0}}}
        ),
        description="what training minimises: a weighted sum of terms, see docs/distillation.md",
    )
    budget: float = Field(1.0, gt=0, le=100, description="training epochs as a share of the suite's")

    @model_validator(mode="after")
    def _the_teacher_is_asked(self) -> Distill:
        if not (self.teacher.free or self.terms.taught or self.data.taught):
            raise ValueError(
                f"teacher '{self.teacher.called}' has no effect, since no term compares with a teacher. Give "
                f"terms.logits a weight, or leave the teacher out"
            )
        return self

    @override
    def saving(self) -> frozenset[Saving]:
        """What the student's form saves."""
        return self.saves & self.student.saving()

    @override
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.student.tasks(), *self.teacher.tasks(), *self.data.tasks()]))

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a student that the given model does not allow, or for choices that do not fit."""
        used = self.data.prepared(model, lab, method=self)
        student = self.student.made(used.model, used.lab)
        taught = self.teacher.taught(student, used.lab, method=self)
        left = used.lab if taught.features is None else dataclasses.replace(used.lab, features=taught.features)
        self.curriculum.run(self, student, left, self.data.added(left, student, taught), ())
        return self.data.finished(student, lab)
