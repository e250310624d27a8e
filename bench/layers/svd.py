"""A weight matrix as the product of two thin ones, by truncated singular value decomposition."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Decomposition(NamedTuple):
    """U [m, k], S [k] in falling order and V^T [k, n] of a matrix [m, n], k = min(m, n)."""

    left: Tensor
    values: Tensor
    right: Tensor


def decompose(weight: Tensor) -> Decomposition:
    """The singular value decomposition of `weight` [m, n], computed in float64."""
    return Decomposition(*torch.linalg.svd(weight.detach().double(), full_matrices=False))


def truncated(parts: Decomposition, rank: int) -> tuple[Tensor, Tensor]:
    """The two factors of the best approximation of rank `rank` in Frobenius norm (Eckart & Young 1936), float64.

    Returns (U_r S_r^(1/2)) [m, rank] and (S_r^(1/2) V_r^T) [rank, n]: the roots are split so that both have one scale.
    """
    root = parts.values[:rank].sqrt()
    return parts.left[:, :rank] * root, root[:, None] * parts.right[:rank]


def rank_for_energy(values: Tensor, energy: float) -> int:
    """The smallest r whose first r squared singular values hold at least the share `energy` of their sum."""
    held = values.square().cumsum(0)
    reached = held >= energy * held[-1]
    return int(reached.int().argmax()) + 1
