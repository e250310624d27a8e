"""Masked language modelling of a student's body before it is distilled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.base.errors import MethodError, ModelError

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.base.method import Lab

_HEAD = "masked-language-modelling"


def learn_texts(student: nn.Module, lab: Lab, *, task: str, budget: float, rate: float | None) -> None:
    """Train the body of `student`, in place, on another task's texts; its head stays as it was.

    Args:
        student: a model whose modules are as its configuration makes them.
        lab: of the task that it will be distilled on.
        task: a task of masked language modelling of the same suite.
        budget: epochs as a share of those of that task.
        rate: peak learning rate; None takes the suite's for that task.

    Raises:
        MethodError: the task is of another kind, or the student cannot have a masked head.
    """
    from bench.models.bodies import carry_body, under_head
    from bench.tasks.kinds.kind import KINDS

    other = lab.elsewhere(task)
    if KINDS.get(other.task.kind).head != _HEAD:
        raise MethodError(
            f"distill: student.pretrain names '{task}', which is a {other.task.kind} task. Name a task of masked "
            f"language modelling."
        )
    try:
        masked = under_head(student, _HEAD, seed=lab.seed)
    except ModelError as error:
        raise MethodError(f"distill: student.pretrain cannot be used with this student: {error}") from error
    log = other.train(masked, epochs=other.plan.epochs * budget, learning_rate=rate)
    carry_body(masked, student)
    lab.counts["texts of pretraining"] = len(other.features)
    lab.counts["steps of pretraining"] = log.steps
    lab.notes.append(
        f"Before it was distilled, the student was trained by masked language modelling on the texts of {task}."
    )
