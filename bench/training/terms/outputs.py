"""Matching a teacher's outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.tasks.features import IGNORED, Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.divergence import distillation_loss
from bench.training.objective import Objective, TaskTerm, Term
from bench.training.terms.teacher import Teacher


class DistillationTerm(Term):
    """The divergence from a frozen teacher's outputs at one temperature; see `distillation_loss`.

    Args:
        teacher: a trained model on the device of training, in evaluation mode; it is never changed.
        temperature: T > 0, applied to both sides.
    """

    def __init__(self, teacher: Teacher, temperature: float) -> None:
        self._teacher = teacher
        self._temperature = temperature

    def loss(self, model: nn.Module, batch: Batch, outputs: Any, kind: TaskKind) -> Tensor:
        """The divergence; only real tokens or candidates, not padding, take part in distributions over these.

        If each token has a target, the mean is over these tokens: word-level distillation (Kim and Rush 2016,
        arXiv:1606.07947, §3.1); the same if each class or candidate has one, which is right or not by itself.
        """
        if kind.in_batch:
            told = self._teacher.outputs_once(batch, kind)
            return distillation_loss(kind.logits(outputs, batch), told, temperature=self._temperature)
        places = _predicted(batch)
        if places is not None:
            mine = [logits[places] for logits in kind.logits(outputs, batch)]  # [tokens, vocabulary]
            known = self._teacher.outputs if kind.few_outputs else self._teacher.outputs_once
            its = [logits[places] for logits in known(batch, kind)]
            return distillation_loss(mine, its, temperature=self._temperature)
        mask = batch.inputs["attention_mask"] if kind.over_tokens else _candidates(batch)
        wanted = self._teacher.outputs(batch, kind)
        return distillation_loss(kind.logits(outputs, batch), wanted, temperature=self._temperature, mask=mask)


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


def distillation(teacher: Teacher, *, temperature: float, alpha: float) -> Objective:
    """`alpha` times the divergence from the teacher plus (1 - `alpha`) times the task's loss."""
    return Objective(terms=((alpha, DistillationTerm(teacher, temperature)), (1.0 - alpha, TaskTerm())))
