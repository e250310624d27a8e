"""Letting positions of a model's stacks run one stored module: whole layers, or parts of layers that stay distinct."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import nn

from bench.base.errors import MethodError
from bench.models.modules import replace_module
from bench.models.roles import Part

if TYPE_CHECKING:
    from bench.models.adapter import Adapter

Init = Literal["first", "mean", "copy"]
_SIZES = ("in_features", "out_features", "normalized_shape", "input_size", "hidden_size")


@dataclass(frozen=True, kw_only=True)
class ShareMap:
    """Who shares with whom.

    Args:
        places: by stack, the stored layer of each position.
        parts: the parts of a layer that are shared; empty means all.
        tie_stacks: whether position i of the encoder and of the decoder have the same stored layer i.
        tie_cross: whether cross-attention is also the self-attention of its layer.
        init: a stored module starts as the first it stands for, as the mean of all of them, or as the one of the
            given model's layer with the stored layer's own number.
    """

    places: Mapping[str, Sequence[int]]
    parts: tuple[Part, ...] = ()
    tie_stacks: bool = False
    tie_cross: bool = False
    init: Init = "first"


class _Occurrence(NamedTuple):
    """One place of a module: the layer, its name below the layer, and the layer's position and stored layer."""

    layer: nn.Module
    name: str
    position: int
    place: int

    @property
    def module(self) -> nn.Module:
        return self.layer.get_submodule(self.name) if self.name else self.layer


def apply_map(model: nn.Module, adapter: Adapter, sharing: ShareMap) -> None:
    """Share the modules of `model` as `sharing` says, in place.

    An encoder's whole layers become one module in several positions. Parts, and whole layers of a decoder, are shared
    module by module inside layers that stay distinct, because a decoder layer knows its own place in the key-value
    cache; a tied part of two stacks goes by its name below the layer.

    Raises:
        MethodError: modules that do not fit each other or cannot be averaged, or parts that no layer has.
    """
    whole = not (sharing.parts or sharing.tie_stacks or sharing.tie_cross)
    uses: dict[tuple[str, ...], list[_Occurrence]] = {}  # by stack, part and name below the layer
    for stack, places in sharing.places.items():
        if whole and stack != "decoder":
            _share_whole(model, adapter, stack, places, init=sharing.init)
            continue
        layers = _distinct(model, adapter, stack)
        for position, (layer, place) in enumerate(zip(layers, places, strict=True)):
            for key, name in _shared_names(adapter.parts(layer), sharing).items():
                same = ("both" if sharing.tie_stacks else stack, *key)
                uses.setdefault(same, []).extend(_Occurrence(layer, each, position, place) for each in name)
    if sharing.parts and not uses:
        raise MethodError(f"share: no layer of {type(model).__name__} has {' or '.join(sharing.parts)}")
    for key, same_name in uses.items():
        stored = _stored(same_name, init=sharing.init, what=" ".join(key))
        for use in same_name:
            replace_module(use.layer, use.name, stored[use.place])


def _shared_names(parts: Mapping[Part, list[str]], sharing: ShareMap) -> dict[tuple[str, ...], list[str]]:
    """The names below one layer that one stored module takes, by what it is called in all layers."""
    wanted = {part: names for part, names in parts.items() if not sharing.parts or part in sharing.parts}
    found: dict[tuple[str, ...], list[str]] = {(part, name): [name] for part, names in wanted.items() for name in names}
    if sharing.tie_cross and "cross_attention" in wanted:
        for own, cross in zip(wanted["attention"], wanted["cross_attention"], strict=True):
            found["attention", own] += found.pop(("cross_attention", cross))
    return found


def _share_whole(model: nn.Module, adapter: Adapter, stack: str, places: Sequence[int], *, init: Init) -> None:
    layers = adapter.layers(model, stack)
    uses = [_Occurrence(layer, "", position, places[position]) for position, layer in enumerate(layers)]
    stored = _stored(uses, init=init, what=f"{stack} layer")
    adapter.set_layers(model, [stored[place] for place in places], stack)


def _distinct(model: nn.Module, adapter: Adapter, stack: str) -> list[nn.Module]:
    """The layers of a stack, each position a module of its own; what repeated layers shared inside stays shared."""
    layers = adapter.layers(model, stack)
    if len({id(layer) for layer in layers}) == len(layers):
        return layers
    distinct: list[nn.Module] = []
    for position, layer in enumerate(layers):
        kept: list[Any] = [each for each in layer.modules() if next(each.children(), None) is None]
        kept += [each.config for each in layer.modules() if hasattr(each, "config")]
        own = copy.deepcopy(layer, {id(each): each for each in kept})
        for each in own.modules():
            if getattr(each, "layer_idx", None) is not None:
                each.layer_idx = position  # type: ignore[assignment]
        distinct.append(own)
    adapter.set_layers(model, distinct, stack)
    return adapter.layers(model, stack)


def _stored(uses: Sequence[_Occurrence], *, init: Init, what: str) -> dict[int, nn.Module]:
    """The one module of each stored layer with its starting weights, sharing nothing with `uses`."""
    stored: dict[int, nn.Module] = {}
    for place in dict.fromkeys(use.place for use in uses):
        modules = [use.module for use in uses if use.place == place]
        sizes = [{size: getattr(module, size, None) for size in _SIZES} for module in modules]
        if any(size != sizes[0] for size in sizes):
            raise MethodError(f"share: {what} {place} would replace modules of different widths, such as {modules[0]}")
        if init == "mean":
            stored[place] = _mean(modules)
        else:
            own = [use.module for use in uses if use.position == place] if init == "copy" else modules
            stored[place] = copy.deepcopy(own[0])
    return stored


def _mean(modules: Sequence[nn.Module]) -> nn.Module:
    """A module whose every tensor is the mean over `modules`."""
    states = [module.state_dict() for module in modules]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise MethodError(
            "share: init = 'mean' needs layers of the same shape. Use init = 'first', or make share an earlier stage."
        )
    if not all(tensor.is_floating_point() for tensor in states[0].values()):
        raise MethodError("share: init = 'mean' needs float layers. Share before quantizing.")
    result = copy.deepcopy(modules[0])
    with torch.no_grad():
        for name, tensor in result.state_dict().items():
            tensor.copy_(torch.stack([state[name] for state in states]).mean(dim=0))
    return result


def join_embeddings(model: nn.Module, adapter: Adapter) -> None:
    """Let the decoder use the encoder's embeddings, and the softmax its word embedding, in place.

    All that stands beside the layers in both halves under one name with weights of one shape is joined: tables of
    words, positions and segments, and the norm after them.

    Raises:
        MethodError: the two vocabularies or widths differ, or the softmax has another form than the table.
    """
    encoder, decoder = (_beside_layers(model, adapter, stack) for stack in ("encoder", "decoder"))
    before = adapter.word_embedding(model).weight
    for name in encoder.keys() & decoder.keys():
        if _shapes(encoder[name]) != _shapes(decoder[name]):
            raise MethodError(
                f"share: the embeddings '{name}' are {_shapes(encoder[name])} in the encoder and "
                f"{_shapes(decoder[name])} in the decoder. To join them, both need the same vocabulary and width."
            )
        replace_module(_half(model, adapter, "decoder"), name, encoder[name])
    projection = adapter.output_projection(model)
    if projection is not None:
        weight = getattr(projection, "weight", None)
        if not isinstance(weight, nn.Parameter) or weight.shape != before.shape:
            raise MethodError(
                "share: the softmax is not a matrix like the word embedding. Share before factorizing it."
            )
        projection.weight = before


def _beside_layers(model: nn.Module, adapter: Adapter, stack: str) -> dict[str, nn.Module]:
    """Modules of one half that hold tensors themselves and are not in its layers, by name below the half."""
    inside = {id(module) for layer in adapter.layers(model, stack) for module in layer.modules()}
    return {
        name: module
        for name, module in _half(model, adapter, stack).named_modules()
        if id(module) not in inside and (module._parameters or module._buffers)
    }


def _half(model: nn.Module, adapter: Adapter, stack: str) -> nn.Module:
    """What runs a stack, without the head of a language model."""
    half = model.get_submodule(adapter.half_name(model, stack))
    base: nn.Module = getattr(half, str(getattr(half, "base_model_prefix", "")), half)
    return base


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
