"""Parameter sharing over the positions of a model's layer stacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.depth import refuse_lost_work
from bench.methods.base.method import METHODS, Lab, Listed
from bench.methods.base.trained import TrainedMethod
from bench.models.roles import Part
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

    from bench.models.adapter import Adapter

Map = Literal["all", "sequence", "cycle", "cycle-rev", "sandwich", "explicit", "none"]
COUNTED: tuple[Map, ...] = ("sequence", "cycle", "cycle-rev")  # the maps that are told how many layers to store


@METHODS.register("share")
class Share(TrainedMethod):
    """Share stored layers among positions, then fine-tune them (ALBERT: Lan et al. 2020, arXiv:1909.11942, §3.1).

    Depth and MACs do not change; only the number of stored parameters falls. Whole layers or parts of them can be
    shared, within each stack or between encoder and decoder. The stored layers start from those of the given model. Use
    `init` "fresh" for a published system that is trained from scratch, and "source" for one that starts from a
    checkpoint.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"bytes"})

    map: Map = Field(
        "all",
        description="which stored layer each position runs: one for all; sequence 001122, cycle 012012, cycle-rev "
        "012210; sandwich: one between the first and the last; explicit: as in places; none: no sharing",
    )
    unique: int = Field(1, ge=1, description="number of stored layers (maps sequence, cycle, cycle-rev)")
    init: Literal["first", "mean", "copy", "fresh", "source"] = Field(
        "first",
        description="start of a stored layer: the first of the layers it replaces, their mean, or the layer with its "
        "own number; or the first of them in a model with random (fresh) or pretrained (source) weights",
    )
    budget: float = Field(
        2.0 / 3, ge=0, le=100, description="fine-tuning epochs as a share of the suite's; 0 means none"
    )
    places: Annotated[tuple[int, ...], Listed] = Field(
        (), description="map 'explicit': the stored layer of each position, from 0; on a command line: 0+0+1+1"
    )
    ratio: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="number of stored layers as a share of the depth, rounded (maps sequence, cycle, cycle-rev)",
    )
    parts: Annotated[tuple[Part, ...], Listed] = Field(
        (), description="parts of a layer that are shared; on a command line: attention+ffn; empty means whole layers"
    )
    stacks: Annotated[tuple[Literal["encoder", "decoder"], ...], Listed] = Field(
        (), description="stacks that the map applies to; empty means all stacks, each with its own stored layers"
    )
    tie_stacks: bool = Field(
        False, description="encoder and decoder share layers: position i of both runs one stored layer"
    )
    tie_cross: Literal["none", "self"] = Field(
        "none", description="'self': cross-attention is also the self-attention of its layer"
    )
    embeddings: Literal["own", "joint"] = Field(
        "own", description="'joint': source, target and softmax of a seq2seq model share one embedding"
    )

    @model_validator(mode="after")
    def _arguments_fit_each_other(self) -> Share:
        if self.map not in COUNTED and self.unique != 1:
            stores = "stores one layer" if self.map == "all" else "determines the number of stored layers"
            raise ValueError(f"map '{self.map}' {stores} (found unique = {self.unique}); choose sequence or cycle")
        if self.ratio is not None and (self.map not in COUNTED or self.unique != 1):
            raise ValueError("ratio replaces unique, and only for the maps sequence, cycle and cycle-rev")
        if (self.map == "explicit") != bool(self.places):
            raise ValueError(
                f"map '{self.map}' with places = {list(self.places)}: map 'explicit' needs places, and "
                f"no other map has them"
            )
        if self.places and set(self.places) != set(range(max(self.places) + 1)):
            raise ValueError(f"places = {list(self.places)}: stored layers must be numbered from 0 without gaps")
        if self.tie_cross == "self" and self.parts and not {"attention", "cross_attention"} <= set(self.parts):
            raise ValueError("tie_cross = 'self' needs attention and cross_attention among the parts")
        if self.tie_stacks and self.stacks:
            raise ValueError("tie_stacks applies to both stacks; leave stacks empty")
        return self

    @override
    def seeded(self) -> bool:
        """True also without a budget for a fresh start, which has a new head at least."""
        return super().seeded() or self.init in ("fresh", "source")

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a map, layers or stacks that do not fit, or a fresh start after another stage.

        A map has to fit the depth, layers have to be of one shape, and the model needs the stacks, of one depth.
        """
        from bench.methods.share.places import ShareMap, apply_map, join_embeddings
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        adapter = adapter_for(model)
        stacks = self._stacks(model, adapter)
        anew = self.init in ("fresh", "source")
        shared = _started_over(model, adapter, lab, init=self.init) if anew else copy_model(model)
        places = {stack: self._places(len(adapter.layers(shared, stack))) for stack in stacks}
        if self.embeddings == "joint":
            join_embeddings(shared, adapter)
        sharing = ShareMap(
            places=places,
            parts=self.parts,
            tie_stacks=self.tie_stacks,
            tie_cross=self.tie_cross == "self",
            init=self.init if self.init in ("mean", "copy") else "first",
        )
        apply_map(shared, adapter, sharing)
        self.tune(shared, lab)
        return shared

    def _places(self, depth: int) -> list[int]:
        unique = self.unique if self.ratio is None else max(1, round(depth * self.ratio))
        return share_map(self.map, depth=depth, unique=unique, explicit=self.places)

    def _stacks(self, model: nn.Module, adapter: Adapter) -> tuple[str, ...]:
        """The stacks that the map is for."""
        has = adapter.stacks(model)
        lacking = [stack for stack in self.stacks if stack not in has]
        two = self.tie_stacks or self.tie_cross == "self" or self.embeddings == "joint"
        if lacking or (two and set(has) != {"encoder", "decoder"}):
            wanted = lacking[0] if lacking else "encoder and decoder"
            raise MethodError(f"share: {type(model).__name__} has no {wanted} to share; it has {', '.join(has)}")
        depths = {stack: len(adapter.layers(model, stack)) for stack in has}
        if self.tie_stacks and len(set(depths.values())) > 1:
            raise MethodError(f"share: tied stacks need the same depth, found {depths}")
        return self.stacks or has


def share_map(name: Map, *, depth: int, unique: int = 1, explicit: Sequence[int] = ()) -> list[int]:
    """The stored layer of each of `depth` positions.

    `sequence`, `cycle` and `cycle-rev` are those of Takase & Kiyono 2021 (arXiv:2104.06022, §2): for 3 stored layers
    in 6 positions 001122, 012012, 012210. `sandwich` is Subformer's (Reid et al. 2021, arXiv:2101.00234, §3.1): the
    first and the last position have their own layer, those between share one. `all` shares one, `none` shares nothing.

    Raises:
        MethodError: more stored layers than positions, a sandwich without a middle, or an explicit map that does not
            have one number for each position.
    """
    if name in COUNTED and unique > depth:
        raise MethodError(f"share: unique is {unique}, but the given model has {depth} layers")
    if name == "sandwich" and depth < 3:
        raise MethodError(
            f"share: map 'sandwich' shares the layers between the first and the last, but the model has "
            f"only {depth} layers"
        )
    if name == "explicit" and len(explicit) != depth:
        raise MethodError(f"share: places has {len(explicit)} numbers, but the given model has {depth} layers")
    maps = {
        "all": lambda: [0] * depth,
        "sequence": lambda: [place * unique // depth for place in range(depth)],
        "cycle": lambda: [place % unique for place in range(depth)],
        "cycle-rev": lambda: [*(place % unique for place in range(depth - unique)), *reversed(range(unique))],
        "sandwich": lambda: [0, *[1] * (depth - 2), 2],
        "explicit": lambda: list(explicit),
        "none": lambda: list(range(depth)),
    }
    return maps[name]()


def _started_over(model: nn.Module, adapter: Adapter, lab: Lab, *, init: str) -> nn.Module:
    """A model like the given one that has not seen the task; refused if an earlier stage would be lost."""
    refuse_lost_work(model, lab.reference, where=f"share: init = '{init}'")
    depths = {stack: len(adapter.layers(model, stack)) for stack in adapter.stacks(model)}
    if len(set(depths.values())) > 1:
        raise MethodError(f"share: init = '{init}' builds stacks of the same depth, but the given model has {depths}")
    return lab.fresh(next(iter(depths.values())), init == "source")
