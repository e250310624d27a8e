"""How far tensors of a student are from a teacher's: by element or by vector, with what counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override


class Losses(NamedTuple):
    """Losses of any shape that begins with the batch, and how much each counts, of the same shape."""

    values: Tensor
    counts: Tensor

    def mean(self, weights: Tensor | None = None) -> Tensor:
        """The mean over what counts, a scalar.

        Args:
            weights: a factor on the losses of each example, [batch]; what is divided by stays the number that counts.
        """
        values = self.values * self.counts
        if weights is not None:
            values = values * weights.to(values).view(-1, *[1] * (values.dim() - 1))
        return values.sum() / self.counts.sum()


class Disparity(ABC):
    """Computes one divergence of vectors in float32; no gradient is meant to flow into the teacher's."""

    softens: bool = False  # whether it takes the softmax itself

    @abstractmethod
    def losses(self, student: Tensor, teacher: Tensor, *, real: Tensor | None, allowed: Tensor | None) -> Losses:
        """The losses of vectors [batch, ..., n] against those of the teacher.

        Args:
            student: float32.
            teacher: the same shape.
            real: which vectors count, true or 1, broadcastable to [batch, ...]; None is all.
            allowed: which entries of a vector count, broadcastable to the vectors' shape; None is all.
        """


class Softened(Disparity):
    """factor * KL(softmax(teacher / T) || softmax(student / T)) of each vector, in nats.

    Without `entropy` it is the cross-entropy of the two: the teacher's entropy is not subtracted.
    """

    softens = True

    def __init__(self, temperature: float, factor: float, *, entropy: bool) -> None:
        self._temperature = temperature
        self._factor = factor
        self._entropy = entropy

    @override
    def losses(self, student: Tensor, teacher: Tensor, *, real: Tensor | None, allowed: Tensor | None) -> Losses:
        target = functional.log_softmax(masked(teacher / self._temperature, allowed), dim=-1)
        found = functional.log_softmax(masked(student / self._temperature, allowed), dim=-1)
        gaps = target - found if self._entropy else -found
        values = (target.exp() * gaps).sum(-1) * self._factor
        return Losses(values, _counts(values, real))


class SoftenedSquares(Disparity):
    """factor * (softmax(teacher / T) - softmax(student / T))^2 of each entry."""

    softens = True

    def __init__(self, temperature: float, factor: float) -> None:
        self._temperature = temperature
        self._factor = factor

    @override
    def losses(self, student: Tensor, teacher: Tensor, *, real: Tensor | None, allowed: Tensor | None) -> Losses:
        mine, its = (torch.softmax(masked(side / self._temperature, allowed), dim=-1) for side in (student, teacher))
        values = (mine - its).square() * self._factor
        counts = _counts(values, None if real is None else real.unsqueeze(-1))
        return Losses(values, counts if allowed is None else counts * allowed.to(counts))


class Squared(Disparity):
    """The squared difference of each element."""

    @override
    def losses(self, student: Tensor, teacher: Tensor, *, real: Tensor | None, allowed: Tensor | None) -> Losses:
        values = (student - teacher).square()
        counts = _counts(values, None if real is None else real.unsqueeze(-1))
        return Losses(values, counts if allowed is None else counts * allowed.to(counts))


class Angular(Disparity):
    """1 - cos of each pair of vectors, in [0, 2]."""

    @override
    def losses(self, student: Tensor, teacher: Tensor, *, real: Tensor | None, allowed: Tensor | None) -> Losses:
        values = 1.0 - functional.cosine_similarity(_zeroed(student, allowed), _zeroed(teacher, allowed), dim=-1)
        return Losses(values, _counts(values, real))


class Patient(Disparity):
    """||s / ||s|| - t / ||t||||^2 of each pair of vectors, in [0, 4]."""

    @override
    def losses(self, student: Tensor, teacher: Tensor, *, real: Tensor | None, allowed: Tensor | None) -> Losses:
        mine, its = (functional.normalize(_zeroed(side, allowed), dim=-1) for side in (student, teacher))
        values = (mine - its).square().sum(-1)
        return Losses(values, _counts(values, real))


def masked(logits: Tensor, allowed: Tensor | None) -> Tensor:
    """Logits whose softmax is 0 where nothing is allowed; where nothing is allowed at all it is even."""
    if allowed is None:
        return logits
    return logits.masked_fill(~allowed.bool(), -1e9)  # finite: exp gives 0, and 0 * (difference) stays 0, not NaN


def _zeroed(vectors: Tensor, allowed: Tensor | None) -> Tensor:
    return vectors if allowed is None else vectors * allowed.to(vectors)


def _counts(values: Tensor, real: Tensor | None) -> Tensor:
    return torch.ones_like(values) if real is None else real.to(values).expand_as(values)
