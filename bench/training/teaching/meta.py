"""A teacher that learns to teach: it follows the gradient of how well its student would do after one more step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call
from typing_extensions import override

from bench.base.errors import TrainingError
from bench.models.modules import differentiable
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.hooks import Hook, TrainState
from bench.training.objective import Objective
from bench.training.teaching.beside import Beside, Draws, batch_of
from bench.training.terms.teacher import Teacher

_ASSUMED = 500_009  # the assumed step has another dropout than the real one, whose loop starts at the seed itself


def teacher_gradients(
    student: nn.Module,
    teacher: Teacher,
    parameters: list[nn.Parameter],
    *,
    batch: Batch,
    quiz: Batch,
    kind: TaskKind,
    objective: Objective,
    rate: float,
) -> list[Tensor | None]:
    """The gradient of the quiz loss of S' = S - rate * grad L(S; T) with respect to the teacher's `parameters`.

    S' exists only as the tensors of one function call, so the student stays as it is, bit for bit. The quiz is taken
    without dropout, the assumed step in the student's own mode.

    Args:
        student: S; its parameters with `requires_grad` are those that would step, each stored one once.
        teacher: T, whose run must let gradients through (`Teacher.attached`).
        parameters: those of the teacher.
        batch: what S would step on.
        quiz: what S' is asked; its loss is the task's own.
        kind: gives the task's loss.
        objective: L, which asks the teacher.
        rate: of the assumed step, plain gradient descent.

    Returns:
        One tensor for each of `parameters`; None where the quiz loss does not depend on it.
    """
    named = {name: value for name, value in student.named_parameters() if value.requires_grad}
    with teacher.attached():
        outputs = student(**batch.inputs)
        loss = objective.loss(student, batch, outputs, kind)
    slopes = torch.autograd.grad(loss, list(named.values()), create_graph=True, allow_unused=True)
    ahead = {
        name: value if slope is None else value - rate * slope
        for (name, value), slope in zip(named.items(), slopes, strict=True)
    }
    training = student.training
    student.eval()
    try:
        answers = functional_call(student, ahead, args=(), kwargs=dict(quiz.inputs), tie_weights=True)
        score = kind.loss(answers, quiz.targets)
    finally:
        student.train(training)
    return list(torch.autograd.grad(score, parameters, allow_unused=True))


class MetaTeaching(Hook):
    """MetaDistil (Zhou et al. 2022, arXiv:2106.04570, algorithm 1): the teacher steps by its student's quiz loss.

    Before each step of the student the teacher follows `teacher_gradients` on one batch of the quiz examples, which
    the student does not train on; the student then takes its step towards the teacher that has moved. Differences from
    the released code (github.com/JetRunner/MetaDistil): the quiz is cut from the training data and not the validation
    set, and each step is asked one batch of it instead of all.

    Args:
        teacher: what the student's terms ask; a moving one, with the model of `beside`, always in evaluation mode.
        beside: takes the teacher's steps.
        quiz: gives that many batches of the quiz examples.
        rate: of the assumed step.
        seed: of the dropout in the assumed step.
    """

    def __init__(
        self, teacher: Teacher, beside: Beside, *, quiz: Callable[[int], Iterator[Batch]], rate: float, seed: int
    ) -> None:
        self._teacher = teacher
        self._beside = beside
        self._quiz = quiz
        self._asked: Iterator[Batch] = iter(())
        self._rate = rate
        self._draws = Draws(seed + _ASSUMED)

    @override
    def before_step(self, state: TrainState) -> None:
        if state.step == 0:
            self._asked = self._quiz(state.total_steps)
        batch = batch_of(state)
        self._teacher.forget()
        with (
            differentiable(state.model, evaluating=False),
            differentiable(self._teacher.model),
            self._draws.drawn(),
            torch.autocast("cuda", dtype=torch.bfloat16, enabled=batch.inputs["input_ids"].is_cuda),
        ):
            gradients = teacher_gradients(
                state.model,
                self._teacher,
                self._beside.parameters,
                batch=batch,
                quiz=next(self._asked),
                kind=state.kind,
                objective=state.objective,
                rate=self._rate,
            )
        if all(gradient is None for gradient in gradients):
            raise TrainingError(
                "the student's loss does not depend on its teacher, so a meta teacher has nothing to learn. Give a "
                "term that compares the two, such as logits."
            )
        self._beside.follow(state, gradients)
        self._teacher.forget()
