"""An encoder's layers in integers: states are quantized before the first layer and dequantized after the last."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.base.errors import MethodError, ModelError
from bench.layers.integer.layer import IntegerLayer
from bench.layers.integer.parts import LARGEST
from bench.layers.layer import LAYER_KINDS
from bench.layers.stack import StoredStack


@LAYER_KINDS.register("integer-stack")
class IntegerStack(StoredStack):
    """Layers of `IntegerLayer` between one quantization and one dequantization.

    `first_scale` and `last_scale`, float32 [], are the only floating-point tensors. Embeddings before and heads after
    it stay in floating point. In training mode, states that want a gradient raise `MethodError`.
    """

    kind: ClassVar[str] = "integer-stack"
    first_scale: Tensor
    last_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("first_scale", torch.ones(()))
        self.register_buffer("last_scale", torch.ones(()))

    def arguments(self) -> dict[str, Any]:
        """None: what there is to know is in the layers and in two tensors."""
        return {}

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """See `StoredStack`; the mask is the first of the further arguments, as in every supported encoder."""
        if self.training and hidden.requires_grad and torch.is_grad_enabled():
            raise MethodError(
                "an integer encoder passes no gradient on: train first, turn to integers as the last stage"
            )
        seen = seen_of(args[0] if args else kwargs.get("attention_mask"))
        states = quantized(hidden.detach(), self.first_scale)
        return dequantized(self.in_integers(states, seen), self.last_scale).to(hidden.dtype)

    def in_integers(self, states: Tensor, seen: Tensor | None) -> Tensor:
        """int8 [batch, length, width] through the layers, with no floating point; `seen` as in `IntegerLayer`."""
        for layer in self._modules.values():
            if layer is not None:
                states = layer(states, seen)
        return states

    def macs(self, batch: int, length: int) -> int:
        """Multiply-adds of 8-bit operands for `batch` inputs of `length` tokens."""
        layers = (layer for layer in self._modules.values() if isinstance(layer, IntegerLayer))
        return sum(layer.macs(batch, length) for layer in layers)


def quantized(hidden: Tensor, scale: Tensor) -> Tensor:
    """int8 nearest to hidden / scale, in [-127, 127]."""
    return torch.round(hidden / scale).clamp(-LARGEST, LARGEST).to(torch.int8)


def dequantized(states: Tensor, scale: Tensor) -> Tensor:
    """The float32 numbers that integers stand for."""
    return states.float() * scale


def seen_of(mask: Any) -> Tensor | None:
    """Which keys a query sees, bool [batch, 1, 1 or length, length], of the mask that an encoder hands its layers.

    Masks are bool, or numbers that are added to the scores (0 where seen), or 1 and 0 a token [batch, length].
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.dim() not in (2, 4):
        raise ModelError(f"an integer encoder reads masks of 2 or 4 dimensions, found {type(mask).__name__}")
    if mask.dim() == 2:
        return (mask > 0)[:, None, None, :]
    return mask if mask.dtype == torch.bool else mask > -1.0
