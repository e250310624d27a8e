"""Physical removal of fully masked units, and of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bench.base.errors import MethodError
from bench.methods.base.method import METHODS, Lab, Listed, Method
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.models.adapter import Adapter


@METHODS.register("shrink")
class Shrink(Method):
    """Remove heads and neurons whose weights are all zero, and layers if asked; nothing is trained.

    With a head, its rows of query, key and value, their biases and its columns of the output map are removed; with a
    neuron, its row, bias and column. If an attention or MLP loses all of them, only its output bias stays.
    Outputs equal those of the masked model up to rounding, unless layers are removed. A model without masked units
    is returned unchanged. Which units count as masked: `bench.methods.shrink.removable.dead_units`.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes", "macs", "time"})

    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Listed] = Field(
        (), description="numbers of the layers that stay, from 0, in order; on a command line: 0+2+4; empty means all"
    )
    depth: int | None = Field(
        None,
        ge=1,
        description="number of layers that stay; the others are removed at even steps (LayerDrop's every-other rule)",
    )
    stacks: Annotated[tuple[Literal["encoder", "decoder"], ...], Listed] = Field(
        (), description="stacks that `layers` or `depth` applies to; empty means the first"
    )

    @model_validator(mode="after")
    def _one_choice_of_layers(self) -> Shrink:
        if self.layers and self.depth is not None:
            raise ValueError("give either layers (which stay) or depth (how many stay), not both")
        if list(self.layers) != sorted(set(self.layers)):
            raise ValueError(f"layers {list(self.layers)}: give each layer once, in the order of execution")
        if self.stacks and not self.layers and self.depth is None:
            raise ValueError("stacks needs layers or depth; give one of them")
        return self

    def seeded(self) -> bool:
        """Nothing is trained or drawn."""
        return False

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Take masked units and unwanted layers out of a copy of the model.

        Raises:
            MethodError: layers or stacks that the model lacks, a model that has neither heads nor neurons to remove,
                layers that are quantized already, or masked weights that are shared with others that are not masked.
        """
        from bench.methods.shrink.cut import cut
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        adapter = adapter_for(model)
        kept = self._kept(model, adapter)
        _refuse_without_units(model, adapter, layers=bool(kept))
        shrunk = copy_model(model)
        for stack, numbers in kept.items():
            keep_layers(shrunk, adapter, stack, numbers)
        lab.progress(f"removed {cut(shrunk, adapter)}", 1.0)
        return shrunk.eval()

    def _kept(self, model: nn.Module, adapter: Adapter) -> dict[str, list[int]]:
        """The numbers of the layers that stay, by stack; empty if all stay."""
        if not self.layers and self.depth is None:
            return {}
        has = adapter.stacks(model)
        lacking = [stack for stack in self.stacks if stack not in has]
        if lacking:
            raise MethodError(f"shrink: {type(model).__name__} has no {lacking[0]}; it has {', '.join(has)}")
        kept = {}
        for stack in self.stacks or has[:1]:
            count = adapter.depth(model, stack)
            if self.depth is not None and self.depth > count:
                raise MethodError(
                    f"shrink: depth is {self.depth}, but the {stack} of the given model has {count} layers. "
                    f"Give a depth from 1 to {count}."
                )
            kept[stack] = list(self.layers) if self.depth is None else every_other(count, self.depth)
        return kept


def _refuse_without_units(model: nn.Module, adapter: Adapter, *, layers: bool) -> None:
    """Raise `MethodError` if an architecture has no heads and neurons, and no layers are asked for either."""
    if not layers and "ffn_in" not in adapter.roles_of(model):
        raise MethodError(
            f"shrink: {type(model).__name__} has neither attention heads nor MLP neurons. An LSTM's units belong to "
            f"its state, whose width all its layers share, so they cannot be removed. Give layers or depth to remove "
            f"layers."
        )


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
            f"shrink: layers contains {kept[-1]}, but the {stack} of the given model has layers 0 to {len(layers) - 1}."
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
