"""Giving an encoder internal exits, and cutting it at one of them."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn

from bench.base.errors import ModelError
from bench.layers.exits import ExitHead, ExitHeads, ExitOutput, ExitStack, exits_of
from bench.models.adapter import Adapter, adapter_for
from bench.models.modules import replace_module
from bench.models.roles import HeadNames

_START = 0.02  # standard deviation of a new classifier's weights, BERT's own for new matrices


def grow_exits(model: nn.Module, *, shared: bool, seed: int) -> ExitHeads:
    """Put an exit after every layer but the last, in place; the model's own head stays the last exit.

    Args:
        model: an encoder with a classification head whose architecture runs its layers in a loop.
        shared: whether all exits have the head's own first map (its pooler); else each has a copy of it.
        seed: of the exits' output maps; their biases are zero.

    Raises:
        ModelError: the head is missing, or its last map is not a dense one.
    """
    adapter = adapter_for(model)
    names, layers = _head(model, adapter), adapter.layers(model)
    dense, own = model.get_submodule(names.dense), model.get_submodule(names.out)
    if type(own) is not nn.Linear:
        raise ModelError(
            f"{type(model).__name__}: its head '{names.out}' is stored as {type(own).__name__}; exits need a dense one"
        )
    draws = torch.Generator().manual_seed(seed)
    heads = []
    for _ in layers[:-1]:
        head = ExitHead(
            adapter.hidden_size(model), own.in_features, own.out_features, names.activation, _dropout(model, names)
        )
        head.dense = dense if shared else copy.deepcopy(dense)
        drawn = cast(nn.Linear, head.out)
        with torch.no_grad():
            drawn.weight.copy_(torch.randn(drawn.weight.shape, generator=draws) * _START)
            drawn.bias.zero_()
        heads.append(head)
    device = own.weight.device
    stack, exits = ExitStack(adapter.shared_inputs), ExitHeads().adopt(heads).to(device)
    stack.adopt(layers).add_module("exits", exits)
    output = ExitOutput(own.in_features, own.out_features, own.bias is not None)
    output.own, output.exits = own, exits
    replace_module(model, adapter.stack_name(model), stack.train(model.training))
    replace_module(model, names.out, output.train(model.training))
    return exits


def cut_at_exit(model: nn.Module, layer: int) -> None:
    """Make the exit after `layer` the head of an ordinary model of as many layers, in place; the rest is gone.

    Raises `ModelError` for a model without exits or without that layer.
    """
    adapter = adapter_for(model)
    names, layers, exits = _head(model, adapter), adapter.layers(model), exits_of(model)
    output = model.get_submodule(names.out)
    if exits is None or not isinstance(output, ExitOutput) or not 1 <= layer <= len(layers):
        raise ModelError(f"{type(model).__name__}: no exit after layer {layer}; it has {len(layers)} layers")
    if layer < len(layers):
        replace_module(model, names.dense, exits.after(layer).dense)
    replace_module(model, names.out, exits.after(layer).out if layer < len(layers) else output.own)
    replace_module(model, adapter.stack_name(model), nn.ModuleList(layers))
    adapter.set_layers(model, layers[:layer])


def _head(model: nn.Module, adapter: Adapter) -> HeadNames:
    names = adapter.head_names(model)
    if names is None:
        raise ModelError(f"{type(model).__name__}: no classification head on the state of the first token")
    return names


def _dropout(model: nn.Module, names: HeadNames) -> float:
    """The dropout before the head's last map, which stands beside it in every supported architecture."""
    beside = model.get_submodule(names.out.rpartition(".")[0])
    return float(getattr(getattr(beside, "dropout", None), "p", 0.0))
