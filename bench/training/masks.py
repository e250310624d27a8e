"""Masks over weights: which remain, and the hook that keeps the others fixed while the remaining ones are trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.training.hooks import Hook, TrainState


def apply_masks(
    parameters: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor], *, anchors: Mapping[str, Tensor] | None = None
) -> None:
    """Set every removed weight in place to +0.0, or to its anchor.

    A product would leave -0.0, which no sparse coding can drop.

    Args:
        parameters: name to weight.
        masks: name to a boolean tensor of the weight's shape, True if it stays.
        anchors: name to the values that removed weights get instead of zero.
    """
    with torch.no_grad():
        for name, mask in masks.items():
            anchor = (anchors or {}).get(name)
            if anchor is None:
                parameters[name].masked_fill_(~mask, 0.0)
            else:
                parameters[name].copy_(torch.where(mask, parameters[name], anchor))


class MaskHook(Hook):
    """Keeps removed weights at +0.0, or at their anchors, through momentum and weight decay, and out of clipping.

    Args:
        parameters: name to the weight that trains.
        masks: name to its mask, True if the weight stays.
        anchors: name to the values that removed weights have instead of zero.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        masks: Mapping[str, Tensor],
        *,
        anchors: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._parameters = parameters
        self._masks = dict(masks)
        self._anchors = anchors

    def after_backward(self, state: TrainState) -> None:
        """Drop the gradients of removed weights, before the norm is clipped."""
        for name, mask in self._masks.items():
            gradient = self._parameters[name].grad
            if gradient is not None:
                gradient.mul_(mask)

    def after_step(self, state: TrainState) -> None:
        """Restore the removed weights."""
        apply_masks(self._parameters, self._masks, anchors=self._anchors)
