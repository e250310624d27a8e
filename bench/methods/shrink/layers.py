"""Which layers of a stack stay, and letting a model run only these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.base.errors import MethodError

if TYPE_CHECKING:
    from torch import nn

    from bench.models.adapter import Adapter


def every_other(layers: int, depth: int) -> list[int]:
    """The numbers, from 0, of the `depth` of `layers` layers that stay: without floor(k * layers / gone) for each k.

    Of `gone` = layers - depth. If it divides `layers`, that is the rule of LayerDrop with p = gone / layers: drop
    the layers d = 0 mod floor(1/p) (Fan et al. 2020, arXiv:1909.11556, §3.2). For other depths, for which that rule
    drops more or fewer, the steps are spread evenly: 3 of 12 are [3, 7, 11].
    """
    gone = layers - depth
    left_out = {k * layers // gone for k in range(gone)}
    return [number for number in range(layers) if number not in left_out]


def keep_layers(model: nn.Module, adapter: Adapter, stack: str, kept: Sequence[int]) -> None:
    """Let a stack run only the layers with the numbers `kept`, in place; raises `MethodError` if it lacks one."""
    layers = adapter.layers(model, stack)
    if kept and kept[-1] >= len(layers):
        raise MethodError(
            f"shrink: layers has {kept[-1]}, and the {stack} of the given model has layers 0 to {len(layers) - 1}."
        )
    chosen = [layers[number] for number in kept]
    if len(chosen) == len(layers):
        return
    adapter.set_layers(model, chosen, stack)
    for position, layer in enumerate(chosen):
        for module in layer.modules():
            # A layer's place in a cache of keys and values; a freshly built model counts them without gaps.
            if getattr(module, "layer_idx", None) is not None:
                module.layer_idx = position  # type: ignore[assignment]
