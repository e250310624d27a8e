"""A teacher that trains together with its student: in each step it goes first, on the labels and towards it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.hooks import Hook, TrainState
from bench.training.objective import Objective, TaskTerm, Term
from bench.training.teaching.beside import Beside
from bench.training.terms.divergences import Softened
from bench.training.terms.outputs import output_loss
from bench.training.terms.teacher import Teacher


class Towards(Term):
    """KL(softmax(teacher) || softmax(model)) of the outputs, a mean over the batch in nats; see `output_loss`."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._divergence = Softened(1.0, 1.0, entropy=True)

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        return output_loss(self._divergence, outputs, self._teacher, batch, kind)


class Multiplier(Term):
    """beta * (KL - epsilon) for the constraint KL <= epsilon; then beta <- max(0, beta + rate * (KL - epsilon)).

    The Lagrangian form in ProKT's code (`dual_optimization` in github.com/wxsh1213/prokt_text): beta moves by the
    divergence that the step saw.

    Args:
        inner: gives the divergence, a mean over the batch in nats.
        epsilon: the divergence that is allowed.
        rate: of beta.
        start: the first beta.
    """

    def __init__(self, inner: Term, *, epsilon: float, rate: float, start: float) -> None:
        self._inner = inner
        self._epsilon = epsilon
        self._rate = rate
        self._excess: Tensor | None = None
        self.beta = torch.tensor(start)

    @override
    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        excess = self._inner.loss(model, batch, outputs, kind) - self._epsilon
        self._excess = excess.detach()
        self.beta = self.beta.to(excess.device)
        return self.beta * excess

    def move(self) -> None:
        """Change beta by the divergence of the last loss."""
        if self._excess is not None:
            self.beta = (self.beta + self._rate * self._excess).clamp_min(0.0)


class JointTeaching(Hook):
    """The teacher of ProKT (Shi et al. 2021, arXiv:2107.09305, and github.com/wxsh1213/prokt_text).

    In each batch the student's outputs p_s are taken in evaluation mode and without a gradient. The teacher takes a
    step with dropout on (1 - weight) * the task's loss + weight * KL(p_s || q_t). The student then learns from the
    teacher q_t that has moved, in evaluation mode, by the terms of its own training.

    Args:
        teacher: what the student's terms ask; a moving one, with the model of `beside`.
        student: the model that the loop trains.
        beside: takes the teacher's steps.
        weight: of the divergence, in [0, 1]; with 1 the teacher never sees a label. Ignored with a `multiplier`.
        multiplier: makes the Lagrangian form of the divergence, which is added to the task's whole loss.
    """

    def __init__(
        self,
        teacher: Teacher,
        student: nn.Module,
        beside: Beside,
        *,
        weight: float,
        multiplier: tuple[float, float, float] | None = None,
    ) -> None:
        self._teacher = teacher
        self._student = Teacher(student, moving=True)
        self._beside = beside
        pull = Towards(self._student)
        self.multiplier = None
        if multiplier is None:
            self._objective = Objective(terms=((1.0 - weight, TaskTerm()), (weight, pull)))
        else:
            epsilon, rate, start = multiplier
            self.multiplier = Multiplier(pull, epsilon=epsilon, rate=rate, start=start)
            self._objective = Objective(terms=((1.0, TaskTerm()), (1.0, self.multiplier)))

    @override
    def before_step(self, state: TrainState) -> None:
        self._student.forget()
        with _evaluating(state.model):
            self._beside.step(state, self._objective)
        if self.multiplier is not None:
            self.multiplier.move()
        self._teacher.forget()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
