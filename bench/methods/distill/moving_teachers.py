"""Teachers that train while their student does."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod
from bench.methods.distill.teachers import TEACHERS, TeacherChoice, require_labels

if TYPE_CHECKING:
    from torch import nn

    from bench.training.terms.teacher import Taught


class _Joint(TeacherChoice):
    """A teacher that starts beside its student from pretrained weights and goes one step ahead of it."""

    learning_rate: float | None = Field(
        None, gt=0, le=1, description="the teacher's peak learning rate; None takes the suite's"
    )
    zero_heads: bool = Field(
        True, description="teacher and student start with an output layer of zeros, so that they agree on every example"
    )

    @override
    def taught(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> Taught:
        """Raises `MethodError` for data without labels, or with `zero_heads` for an output layer that is shared."""
        from bench.models.adapter import adapter_for
        from bench.training.teaching.beside import Beside
        from bench.training.teaching.joint import JointTeaching
        from bench.training.terms.teacher import Taught, Teacher

        require_labels(lab, self)
        adapter = adapter_for(lab.reference)
        depth = adapter.depth(lab.reference, adapter.stacks(lab.reference)[0])
        model = lab.fresh(depth, True).to(lab.device).eval()
        if self.zero_heads:
            _zero_outputs(model)
            _zero_outputs(student)
        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        beside = Beside(model, plan=lab.plan.model_copy(update=rate), seed=lab.seed)
        teacher = Teacher(model, moving=True)
        weight, multiplier = self._pull()
        hook = JointTeaching(teacher, student, beside, weight=weight, multiplier=multiplier)
        return Taught((teacher,), (hook,))

    @abstractmethod
    def _pull(self) -> tuple[float, tuple[float, float, float] | None]:
        """The weight of the divergence from the student, or what its multiplier is made of."""


@TEACHERS.register("joint")
class JointTeacher(_Joint):
    """ProKT: the teacher learns from the labels but stays near its student (Shi et al. 2021, arXiv:2107.09305).

    Its loss is (1 - weight) * the task's + weight * KL(student || teacher). The teacher starts from the source's
    pretrained weights at the depth of the reference, not from the task-tuned ones.
    """

    weight: float = Field(
        0.4, ge=0, le=1, description="weight of the divergence from the student; the labels have 1 - weight"
    )

    def _pull(self) -> tuple[float, tuple[float, float, float] | None]:
        return self.weight, None


@TEACHERS.register("joint-lagrangian")
class LagrangianTeacher(_Joint):
    """ProKT's other form: the task's loss, with KL(student || teacher) held below `epsilon` by a multiplier.

    As `dual_optimization` in the authors' code (github.com/wxsh1213/prokt_text), whose defaults these are; the
    multiplier moves by rate * (KL - epsilon) after each step of the teacher and is never negative.
    """

    epsilon: float = Field(1.0, ge=0, description="divergence that is allowed, in nats per example")
    rate: float = Field(0.001, ge=0, description="learning rate of the multiplier")
    multiplier: float = Field(1.0, ge=0, description="the multiplier at the first step")

    def _pull(self) -> tuple[float, tuple[float, float, float] | None]:
        return 1.0, (self.epsilon, self.rate, self.multiplier)


@TEACHERS.register("meta")
class MetaTeacher(TeacherChoice):
    """MetaDistil: a copy of the reference that learns to teach (Zhou et al. 2022, arXiv:2106.04570).

    Before each step of the student the teacher takes one along the gradient of the student's loss, after one more step,
    on examples that the student does not train on. These quiz examples are cut from the training data by the seed. The
    gradient is of second order, through a plain gradient step of the student.
    """

    learning_rate: float = Field(1e-5, gt=0, le=1, description="the teacher's peak learning rate")
    step: float | None = Field(
        None, ge=0, le=1, description="rate of the step that the student is assumed to take; None is its peak rate"
    )
    quiz: float = Field(
        0.1, gt=0, lt=1, description="share of the training examples that are set aside to ask the student"
    )

    @override
    def taught(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> Taught:
        """Raises `MethodError` for data without labels, or if one part of the training data would be empty."""
        from functools import partial

        from bench.models.modules import copy_model
        from bench.tasks.encoded import part_of
        from bench.tasks.kinds.kind import KINDS
        from bench.training.loop import batches
        from bench.training.teaching.beside import Beside
        from bench.training.teaching.meta import MetaTeaching
        from bench.training.terms.teacher import Taught, Teacher

        require_labels(lab, self)
        asked, told = quiz_split([each.example for each in lab.features], share=self.quiz, seed=lab.seed)
        if not asked or not told:
            raise MethodError(
                f"distill: teacher.quiz = {self.quiz} of {len(lab.features)} training examples leaves nothing to "
                f"{'ask' if not asked else 'train on'}. Give another share, or more examples."
            )
        model = copy_model(lab.reference).to(lab.device).eval()
        beside = Beside(model, plan=lab.plan.model_copy(update={"learning_rate": self.learning_rate}), seed=lab.seed)
        teacher = Teacher(model, moving=True)
        quiz = partial(
            batches,
            part_of(lab.features, asked),
            kind=KINDS.get(lab.task.kind),
            plan=lab.plan,
            seed=lab.seed,
            pad_id=lab.tokenizer.pad_token_id,
            device=lab.device,
        )
        rate = self.step if self.step is not None else method.learning_rate or lab.plan.learning_rate
        hook = MetaTeaching(teacher, beside, quiz=lambda steps: quiz(steps=steps), rate=rate, seed=lab.seed)
        lab.counts["quiz_examples"] = len(asked)
        lab.notes.append("The quiz of the teacher was cut from the training split; the student trained on the rest.")
        return Taught((teacher,), (hook,), features=part_of(lab.features, told))


def quiz_split(examples: list[int], *, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Positions of the features whose examples are asked, and of those that are trained on, both in their order.

    Args:
        examples: the index of each feature's example; features of one example stay together.
        share: of the examples to ask, rounded to a whole number of them.
        seed: of the choice.
    """
    import random

    each = sorted(set(examples))
    chosen = set(random.Random(seed).sample(each, round(share * len(each))))
    asked = [row for row, example in enumerate(examples) if example in chosen]
    return asked, [row for row, example in enumerate(examples) if example not in chosen]


def _zero_outputs(model: nn.Module) -> None:
    """Set the last layer of the head to zero, in place, so that every output is 0."""
    import torch

    from bench.models.heads import output_name

    name = output_name(model)
    if name is None:
        raise MethodError(
            f"distill: {type(model).__name__} has no output layer of classes or spans that could start at zero. Set "
            f"teacher.zero_heads = false"
        )
    with torch.no_grad():
        for parameter in model.get_submodule(name).parameters():
            parameter.zero_()
