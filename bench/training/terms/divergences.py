"""How far tensors of a student are from a teacher's: elementwise or by vector, with what counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Losses(NamedTuple):
    """Losses of any shape that begins with the batch, and how much each counts, of the same shape."""

    values: Tensor
    counts: Tensor

    def mean(self, weights: Tensor | None = None) -> Tensor:
        """The mean over what counts, a scalar.

        Args:
            weights: one factor per example, [batch], for its losses; what is divided by stays the number that counts.
        """
        values = self.values * self.counts
        if weights is not None:
            values = values * weights.view(-1, *[1] * (values.dim() - 1))
        return values.sum() / self.counts.sum()


class Disparity(ABC):
    """Computes one divergence."""

    @abstractmethod
    def losses(self, student: Tensor, teacher: Tensor, *, real: Tensor | None, allowed: Tensor | None) -> Losses:
        """The losses of vectors [batch, ..., n] against those of the teacher, into which no gradient flows.

        Args:
            student: float32.
            teacher: the same shape.
            real: which vectors count, true or 1, broadcastable to [batch, ...]; None is all.
            allowed: which entries of a vector count, broadcastable to the vectors' shape; None is all.
        """


class KlDisparity(Disparity):
    """factor * KL(softmax(teacher / T) || softmax(student / T)) of each vector, in nats."""

    def __init__(self, temperature: float, factor: float) -> None:
        self._temperature = temperature
        self._factor = factor

    def losses(self, student: Tensor, teacher: Tensor, *, real: Tensor | None, allowed: Tensor | None) -> Losses:
        """One loss per vector; entries that are not allowed have no probability on either side."""
        target = functional.log_softmax(_masked(teacher / self._temperature, allowed), dim=-1)
        found = functional.log_softmax(_masked(student / self._temperature, allowed), dim=-1)
        values = functional.kl_div(found, target, log_target=True, reduction="none").sum(-1) * self._factor
        return Losses(values, _counts(values, real))


def _masked(logits: Tensor, allowed: Tensor | None) -> Tensor:
    if allowed is None:
        return logits
    return logits.masked_fill(~allowed.bool(), -1e9)  # finite: exp gives 0, and 0 * (difference) stays 0, not NaN


def _counts(values: Tensor, real: Tensor | None) -> Tensor:
    return torch.ones_like(values) if real is None else real.to(values).expand_as(values)
