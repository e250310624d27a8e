"""Cross-layer parameter sharing of a trained model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from bench.errors import MethodError
from bench.methods.method import METHODS, Lab
from bench.methods.tuned import GuidedMethod
from bench.saving import Saving

if TYPE_CHECKING:
    from torch import nn

Map = Literal["all", "sequence", "cycle", "cycle-rev"]


@METHODS.register("share")
class Share(GuidedMethod):
    """Run few stored layers in many positions, then tune them (ALBERT: Lan et al. 2020, arXiv:1909.11942, §3.1).

    The depth, and so the MACs, stay as they were; only stored parameters fall. ALBERT is pretrained that way; here the
    stored layers start from a trained model's, so this is the mechanism and not the published system.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    map: Map = Field("all", description="which stored layer each position runs, see `share_map`")
    unique: int = Field(1, ge=1, description="stored layers; 'all' has one")
    init: Literal["first", "mean"] = Field(
        "first", description="a stored layer starts as the first layer it stands for, or as the mean of all of them"
    )
    budget: float = Field(2.0 / 3, ge=0, le=100, description="tuning epochs as a share of the suite's; 0 is none")

    @model_validator(mode="after")
    def _all_has_one_layer(self) -> Share:
        if self.map == "all" and self.unique != 1:
            raise ValueError(f"map 'all' stores one layer (found unique = {self.unique}); choose sequence or cycle")
        return self

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """See `Method`; raises `MethodError` for more stored layers than positions, or layers of unlike shape."""
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        shared = copy_model(model)
        adapter = adapter_for(shared)
        layers = adapter.layers(shared)
        if self.unique > len(layers):
            raise MethodError(f"share: unique is {self.unique}, and the given model has {len(layers)} layers")
        places = share_map(self.map, depth=len(layers), unique=self.unique)
        stored = [
            self._stored([layer for layer, place in zip(layers, places, strict=True) if place == index])
            for index in range(self.unique)
        ]
        adapter.set_layers(shared, [stored[place] for place in places])
        self.tune(shared, lab)
        return shared

    def _stored(self, layers: Sequence[nn.Module]) -> nn.Module:
        """The one layer that stands for `layers`, with its starting weights."""
        return copy.deepcopy(layers[0]) if self.init == "first" else _mean(layers)


def share_map(name: Map, *, depth: int, unique: int) -> list[int]:
    """The stored layer of each of `depth` positions (Takase & Kiyono 2021, arXiv:2104.06022, §2).

    For 3 stored layers in 6 positions: sequence 001122, cycle 012012, cycle-rev 012210.
    """
    if name == "cycle-rev":
        return [place % unique for place in range(depth - unique)] + list(range(unique - 1, -1, -1))
    if name == "cycle":
        return [place % unique for place in range(depth)]
    return [place * unique // depth for place in range(depth)]


def _mean(layers: Sequence[nn.Module]) -> nn.Module:
    """A layer whose every tensor is the mean over `layers`."""
    import torch

    states = [layer.state_dict() for layer in layers]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise MethodError("share: init = 'mean' needs layers of one shape. Use init = 'first', or share first.")
    if not all(tensor.is_floating_point() for tensor in states[0].values()):
        raise MethodError("share: init = 'mean' needs floating-point layers. Share before quantizing.")
    result = copy.deepcopy(layers[0])
    with torch.no_grad():
        for name, tensor in result.state_dict().items():
            tensor.copy_(torch.stack([state[name] for state in states]).mean(dim=0))
    return result
