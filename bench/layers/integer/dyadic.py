"""Multiplying integers by a real number with one integer product and one shift: dyadic numbers b / 2^c."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError

MULTIPLIER_BITS = 31
MOST_SHIFT = 62  # of an int64 that keeps its sign


class Dyadic(NamedTuple):
    """b int32 [channels] and c int64 [], for the numbers b / 2^c."""

    multiplier: Tensor
    shift: Tensor


def dyadic(ratios: Tensor, *, most_shift: int = MOST_SHIFT) -> Dyadic:
    """The nearest b / 2^c of each ratio [channels], with |b| < 2^31 and one c, the largest that all of them allow.

    The largest ratio has 31 significant bits, one that is 2^k smaller has k bits fewer. Differs from the code of
    I-BERT (`batch_frexp`), where every channel has a c of its own. Raises `MethodError` for ratios that are not
    finite or 2^30 and more.
    """
    largest = float(ratios.abs().max())
    if not largest < 2.0 ** (MULTIPLIER_BITS - 1):
        raise MethodError(f"integer: two scales differ by a factor of {largest:g}, which no integer multiplier holds")
    exponent = math.frexp(largest)[1]  # largest = m * 2^exponent with m in [1/2, 1)
    shift = max(1, min(most_shift, MULTIPLIER_BITS - exponent))
    limit = 2**MULTIPLIER_BITS - 1
    multiplier = torch.round(ratios.double() * 2.0**shift).clamp(-limit, limit).to(torch.int32)
    return Dyadic(multiplier, torch.tensor(shift, device=ratios.device))


def requantize(values: Tensor, multiplier: Tensor, shift: Tensor, *, limit: int) -> Tensor:
    """values * b / 2^c rounded to the nearest integer, halves up, and clipped to [-limit, limit]; int64.

    `values` are of at most 32 bits: the product with 31 bits then fits in 63.
    """
    return half_up(values.long() * multiplier, shift).clamp(-limit, limit)


def half_up(values: Tensor, shift: Tensor | int) -> Tensor:
    """floor(values / 2^shift + 1/2) for shift >= 1, without the sum that could overflow."""
    return ((values >> (shift - 1)) + 1) >> 1


class Requantize(nn.Module):
    """Dyadic requantization as a module: buffers `multiplier` int32 [channels] and `shift` int64 []."""

    multiplier: Tensor
    shift: Tensor

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.register_buffer("multiplier", torch.zeros(channels, dtype=torch.int32))
        self.register_buffer("shift", torch.ones((), dtype=torch.int64))

    def set(self, ratios: Tensor) -> None:
        """Multiply by `ratios` [channels] from now on, the scale of the inputs over the scale of the outputs."""
        self.multiplier, self.shift = dyadic(ratios)

    def forward(self, values: Tensor, *, limit: int) -> Tensor:
        """See `requantize`."""
        return requantize(values, self.multiplier, self.shift, limit=limit)
