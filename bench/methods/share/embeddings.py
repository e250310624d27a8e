"""One set of embeddings for source, target and softmax of a seq2seq model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from bench.base.errors import MethodError
from bench.models.modules import replace_module

if TYPE_CHECKING:
    from bench.models.adapter import Adapter


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
                f"{_shapes(decoder[name])} in the decoder. Joining them needs one vocabulary and one width."
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
