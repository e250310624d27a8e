"""Masks over weights: which survive, and the hook that keeps the others at zero while the survivors train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from bench.training.hooks import Hook, TrainState

Scope = Literal["global", "layer"]


def magnitude_masks(weights: Mapping[str, Tensor], *, sparsity: float, scope: Scope) -> dict[str, Tensor]:
    """Masks that keep exactly the largest |w| (Han et al. 2015, arXiv:1506.02626, §3).

    round(`sparsity` * n) of the n weights go; among equal magnitudes at the threshold the later ones stay.

    Args:
        weights: name to matrix.
        sparsity: share to remove, in [0, 1).
        scope: "global" ranks all matrices together, "layer" each by itself.

    Returns:
        Name to a boolean tensor of the matrix's shape, True where the weight stays.
    """
    if scope == "layer":
        return {
            name: _largest(weight.detach().abs().flatten(), sparsity).view_as(weight)
            for name, weight in weights.items()
        }
    joined = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    parts = torch.split(_largest(joined, sparsity), [weight.numel() for weight in weights.values()])
    return {name: part.view_as(weight) for (name, weight), part in zip(weights.items(), parts, strict=True)}


def _largest(saliency: Tensor, sparsity: float) -> Tensor:
    """True at all but the round(`sparsity` * n) smallest entries of a vector of n."""
    removed = round(sparsity * saliency.numel())
    if removed == 0:
        return torch.ones_like(saliency, dtype=torch.bool)
    threshold = saliency.kthvalue(removed).values
    kept = saliency > threshold
    ties = (saliency == threshold).nonzero().flatten()
    spare = saliency.numel() - removed - int(kept.sum())  # ties that still belong to the largest
    kept[ties[len(ties) - spare :]] = True
    return kept


def apply_masks(parameters: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor]) -> None:
    """Set every removed weight to +0.0 in place (a product would leave -0.0, which no sparse coding can drop)."""
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask, 0.0)


class MaskHook(Hook):
    """Keeps removed weights at +0.0 through momentum and weight decay, and their gradients out of clipping.

    Args:
        parameters: name to the weight that trains.
        masks: name to its mask, True where the weight stays.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor]) -> None:
        self._pairs = [(parameters[name], mask.to(parameters[name].dtype)) for name, mask in masks.items()]

    def after_backward(self, state: TrainState) -> None:
        """Drop the gradients of removed weights, before the norm is clipped."""
        for parameter, mask in self._pairs:
            if parameter.grad is not None:
                parameter.grad.mul_(mask)

    def after_step(self, state: TrainState) -> None:
        """Put removed weights back to zero; adding 0.0 turns the -0.0 of a product into +0.0."""
        with torch.no_grad():
            for parameter, mask in self._pairs:
                parameter.mul_(mask).add_(0.0)
