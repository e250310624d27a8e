"""Gradients of the task's loss on training examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.methods.base.listening import alike

if TYPE_CHECKING:
    from bench.methods.prune.site import Site, Subject
    from bench.tasks.features import Batch


def parameters_of(sites: Sequence[Site], *, acting: bool = False) -> dict[str, nn.Parameter]:
    """Every parameter that the sites have a piece of, by name; with `acting` only those at which a gate acts."""
    return {piece.name: piece.parameter for site in sites for piece in (site.acting if acting else site.pieces)}


def slopes(
    subject: Subject, batch: Batch, parameters: Sequence[nn.Parameter], *, again: bool = False
) -> tuple[Tensor, ...]:
    """The gradients of the loss on a batch, zero for parameters without effect; with `again` they have a graph."""
    from bench.tasks.kinds.kind import KINDS

    loss = KINDS.get(subject.lab.task.kind).loss(subject.model(**batch.inputs), batch.targets)
    return torch.autograd.grad(loss, list(parameters), create_graph=again, allow_unused=True, materialize_grads=True)


def batches(subject: Subject, examples: int) -> list[Batch]:
    """The first so many training examples, in batches of one length."""
    return alike(subject.lab, examples=examples)


def one_by_one(subject: Subject, examples: int) -> Iterator[Batch]:
    """The same examples in batches of one.

    Raises `MethodError` for a kind whose loss tells the examples of a batch from each other: of one alone it is 0.
    """
    from bench.tasks.kinds.kind import KINDS

    task = subject.lab.task
    if KINDS.get(task.kind).in_batch:
        raise MethodError(
            f"{task.name}: the loss of a {task.kind} task compares the pairs of a batch, so single examples have no "
            "gradient. Choose a saliency that needs none of single examples, such as magnitude."
        )
    for batch in batches(subject, examples):
        for row in range(len(batch.rows)):
            yield batch.alone(row)
