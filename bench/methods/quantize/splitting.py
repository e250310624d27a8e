"""Ternary weight splitting: two matrices whose binary forms add up to the ternary form of one (BinaryBERT)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench.layers.cells import Cells


class Halves(NamedTuple):
    """Two float64 matrices [rows, columns] with `first` + `second` = the weight that was split."""

    first: Tensor
    second: Tensor


def split(weight: Tensor, kept: Tensor, cells: Cells) -> Halves:
    """Two latent matrices whose binary forms, added, are the ternary form of `weight`, in float64.

    With I the weights that ternarization keeps, a_t their mean magnitude, J and K those that become zero and are above
    0 or not, and n the weights of a cell (Bai et al. 2021, arXiv:2012.15701):

        first = a w in I, w + b in J, b in K;  second = (1 - a) w in I, -b in J, w - b in K
        b = (n a_t - sum |w|) / (2 (|J| + |K|));  a = (sum_I |w| + sum_K |w| - sum_J |w|) / (2 sum_I |w|)

    so that mean |first| = mean |second| = a_t / 2, which is the scale of both binary forms, with equal signs in I and
    opposite ones elsewhere. That needs 0 < a < 1. In a cell where the sums of J and K differ by more than that of I,
    its zeros go to J and K in turn by rising magnitude, whatever their sign.

    Args:
        weight: [rows, columns].
        kept: bool, where its ternary form is not zero: those of a cell above a share of its mean magnitude.
        cells: what has one scale.
    """
    values = weight.detach().double()
    magnitude, sign = values.abs(), torch.where(values > 0, 1.0, -1.0).double()
    zeros = ~kept

    def total(numbers: Tensor) -> Tensor:
        return cells.reduce(numbers.double(), "sum")

    inner, count = total(magnitude * kept), total(kept)
    scale = inner / count.clamp_min(1)
    shift = (total(torch.ones_like(values)) * scale - total(magnitude)) / (2 * total(zeros).clamp_min(1))
    added = cells.whole(shift) * sign
    left = _left(values, zeros, inner, cells)
    surplus = total(magnitude * (zeros & ~left)) - total(magnitude * (zeros & left))
    share = cells.whole((1 + surplus / inner.masked_fill(inner == 0, 1.0)) / 2)
    first = torch.where(kept, share * values, torch.where(left, values + added, -added))
    second = torch.where(kept, (1 - share) * values, torch.where(left, -added, values + added))
    return Halves(first, second)


def _left(values: Tensor, zeros: Tensor, inner: Tensor, cells: Cells) -> Tensor:
    """Which zeros are in J: those above 0, or every second one of the cells where that leaves no share to divide."""
    left = values > 0
    surplus = cells.reduce(values.where(zeros, values.new_zeros(())), "sum")
    rows = cells.group_of(torch.arange(cells.rows, device=values.device))
    for group, bucket in ((surplus.abs() >= inner) & (inner > 0)).nonzero().tolist():
        lines = (rows == group).nonzero()  # [n, 1]
        start = bucket * cells.bucket
        columns = torch.arange(start, min(start + cells.bucket, cells.columns), device=values.device)
        magnitude = values[lines, columns].abs().masked_fill(~zeros[lines, columns], torch.inf)
        ranks = magnitude.flatten().argsort(stable=True).argsort()
        left[lines, columns] = (ranks % 2 == 0).view_as(magnitude)
    return left
