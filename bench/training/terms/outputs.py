"""Comparing the outputs of two heads."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.tasks.features import IGNORED, Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.terms.divergences import Disparity, Squared
from bench.training.terms.teacher import Teacher


class ComparedHead(NamedTuple):
    """One output tensor of both models: vectors, what is allowed of each, and the example that each belongs to."""

    student: Tensor
    teacher: Tensor
    allowed: Tensor | None = None
    owners: Tensor | None = None


def output_loss(
    disparity: Disparity,
    outputs: Any,
    teacher: Teacher,
    batch: Batch,
    kind: TaskKind,
    *,
    weights: Tensor | None = None,
    sharpness: Tensor | None = None,
) -> Tensor:
    """The mean of a divergence over the batch and over the output tensors of a kind, such as a span's two ends.

    Only real tokens or candidates, not padding, take part in distributions over these. If each token has a target, the
    mean is over these tokens: word-level distillation (Kim and Rush 2016, arXiv:1606.07947, §3.1); the same if each
    class or candidate has one, which is right or not by itself. Outputs of one value per example (regression) have no
    distribution: there the loss is the mean squared difference, whatever the divergence is.

    Args:
        disparity: what is computed.
        outputs: what the student gave for `batch`.
        teacher: gives its own.
        batch: on the device of training.
        kind: of the task.
        weights: a factor for each example, [batch].
        sharpness: a factor on the teacher's outputs of each example, [batch].
    """
    heads = _heads(outputs, teacher, batch, kind)
    if sharpness is not None:
        heads = [_smoothed(head, sharpness) for head in heads]
    return torch.stack([head_loss(disparity, head, weights) for head in heads]).mean()


def _heads(outputs: Any, teacher: Teacher, batch: Batch, kind: TaskKind) -> list[ComparedHead]:
    given = kind.logits(outputs, batch)
    if kind.in_batch:
        return _paired(given, teacher.outputs_once(batch, kind))
    places = _predicted(batch)
    if places is not None:
        known = teacher.outputs if kind.few_outputs else teacher.outputs_once
        owners = places.nonzero()[:, 0]
        pairs = zip(given, known(batch, kind), strict=True)
        return [ComparedHead(mine[places], its[places], owners=owners) for mine, its in pairs]  # [tokens, vocabulary]
    return _paired(given, teacher.outputs(batch, kind), allowed_outputs(batch, kind))


def allowed_outputs(batch: Batch, kind: TaskKind) -> Tensor | None:
    """Which entries of the outputs may be chosen, [batch, n]: real tokens or candidates; None is all."""
    return batch.inputs["attention_mask"] if kind.over_tokens else _candidates(batch)


def _paired(
    student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], allowed: Tensor | None = None
) -> list[ComparedHead]:
    return [ComparedHead(mine, its, allowed) for mine, its in zip(student, teacher, strict=True)]


def _smoothed(head: ComparedHead, sharpness: Tensor) -> ComparedHead:
    factors = sharpness if head.owners is None else sharpness[head.owners]
    return head._replace(teacher=head.teacher * factors.view(-1, *[1] * (head.teacher.dim() - 1)))


def head_loss(disparity: Disparity, head: ComparedHead, weights: Tensor | None) -> Tensor:
    """The mean of a divergence over the vectors of one head; single values are squared differences."""
    student, teacher, allowed = head.student.float(), head.teacher.float(), head.allowed
    if student.dim() == 1 or student.size(-1) == 1:
        disparity, allowed = Squared(), None
        student, teacher = student.reshape(-1, 1), teacher.reshape(-1, 1)
    if weights is not None and head.owners is not None:
        weights = weights[head.owners]
    return disparity.losses(student, teacher, real=None, allowed=allowed).mean(weights)


def squared_outputs(outputs: Any, told: Any, batch: Batch, kind: TaskKind) -> list[Tensor]:
    """The mean squared difference of each output tensor, of what both models gave for a batch."""
    heads = zip(kind.logits(outputs, batch), kind.logits(told, batch), strict=True)
    return [(mine.float() - its.float()).square().mean() for mine, its in heads]


def _predicted(batch: Batch) -> Tensor | None:
    """Which tokens, classes or candidates of a batch have a target, [batch, length]; None if only examples have one."""
    labels = batch.targets.get("labels")
    return None if labels is None or labels.dim() != 2 else labels != IGNORED


def _candidates(batch: Batch) -> Tensor | None:
    """Which of the most candidates each example has, [batch, most]; None if examples have none."""
    if batch.groups is None:
        return None
    counts = torch.tensor(batch.groups, device=batch.inputs["input_ids"].device)
    return torch.arange(max(batch.groups), device=counts.device) < counts[:, None]
