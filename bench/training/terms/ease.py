"""How easy single examples are, and factors that count easy ones less."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from bench.base.errors import MethodError
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import TaskKind
from bench.training.terms.divergences import masked
from bench.training.terms.outputs import allowed_outputs
from bench.training.terms.teacher import Teacher
from bench.training.terms.weighing import Weigher


class Ease(ABC):
    """Says how easy each example of a batch is."""

    @abstractmethod
    def of(self, batch: Batch, kind: TaskKind, teacher: Teacher | None) -> Tensor:
        """[batch] in [0, 1], without a gradient; the arguments are those of `Weigher.factors`."""


class KnownEase(Ease):
    """What was computed of every training example, [examples]."""

    def __init__(self, degrees: Tensor) -> None:
        self._degrees = degrees

    @override
    def of(self, batch: Batch, kind: TaskKind, teacher: Teacher | None) -> Tensor:
        return self._degrees[batch.rows].to(batch.inputs["input_ids"].device)


class TeacherCertainty(Ease):
    """1 - H(teacher) / log(choices), a mean over the heads; with `inverted` H(teacher) / log(choices)."""

    def __init__(self, *, inverted: bool = False) -> None:
        self._inverted = inverted

    @override
    def of(self, batch: Batch, kind: TaskKind, teacher: Teacher | None) -> Tensor:
        """Raises `MethodError` without a teacher, or for outputs that are not one distribution per example."""
        if teacher is None:
            raise MethodError("weights by the teacher's uncertainty need a term that is compared with a teacher")
        labels = batch.targets.get("labels")
        if kind.in_batch or (labels is not None and labels.dim() == 2):
            raise MethodError(f"a teacher of {kind.name} has no single distribution per example to be uncertain in")
        with torch.no_grad():
            heads = teacher.outputs(batch, kind)
            found = torch.stack([_entropy_share(head.float(), allowed_outputs(batch, kind)) for head in heads])
        uncertainty = found.mean(0).clamp(0.0, 1.0)  # rounding
        return uncertainty if self._inverted else 1.0 - uncertainty


class ByEase(Weigher):
    """1 - strength * ease of each example, as a factor on its losses or, with `smooth`, on the teacher's logits.

    softmax((1 - b) z) is softmax(z)^(1 - b), normalised.
    """

    def __init__(self, ease: Ease, *, strength: float, smooth: bool) -> None:
        self._ease = ease
        self._strength = strength
        self._smooth = smooth

    @override
    def factors(self, batch: Batch, kind: TaskKind, teacher: Teacher | None) -> Tensor | None:
        return None if self._smooth else self._rest(batch, kind, teacher)

    @override
    def sharpness(self, batch: Batch, kind: TaskKind, teacher: Teacher) -> Tensor | None:
        return self._rest(batch, kind, teacher) if self._smooth else None

    def _rest(self, batch: Batch, kind: TaskKind, teacher: Teacher | None) -> Tensor:
        return 1.0 - self._strength * self._ease.of(batch, kind, teacher)


def _entropy_share(logits: Tensor, allowed: Tensor | None) -> Tensor:
    """The entropy of each distribution [batch, n] as a share of that of an even one; 0 if there is no choice."""
    if logits.dim() != 2 or logits.size(-1) == 1:
        raise MethodError("a teacher that gives one number per example has no uncertainty")
    shares = torch.log_softmax(masked(logits, allowed), dim=-1)
    entropy = -(shares.exp() * shares).sum(-1)
    counts = torch.full_like(entropy, logits.size(-1)) if allowed is None else allowed.sum(-1).to(entropy)
    return torch.where(counts > 1, entropy / counts.clamp_min(2).log(), torch.zeros_like(entropy))
