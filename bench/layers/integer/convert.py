"""Turning a float encoder layer into an integer one, given how large its activations become."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.layers.integer.arithmetic import WEIGHTS, exp_constants, gelu_constants, gelu_scale
from bench.layers.integer.layer import (
    FINE_SCALE,
    LARGEST,
    RESIDUAL_BITS,
    Activation,
    IntegerLayer,
    IntegerLinear,
    rounded,
)


class FloatLayer(NamedTuple):
    """A post-norm encoder layer by what its parts do."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_output: nn.Linear
    attention_norm: nn.LayerNorm
    ffn_in: nn.Linear
    ffn_out: nn.Linear
    output_norm: nn.LayerNorm
    activation: Activation
    head_width: int


class Ranges(NamedTuple):
    """The largest magnitude of each 8-bit activation of a layer; what lies beyond is clipped."""

    states: float
    query: float
    key: float
    value: float
    context: float
    attended: float
    activated: float
    outputs: float


class RoundedWeights:
    """Rounded weights of linear modules, each made once, so that what several layers share is stored once."""

    def __init__(self) -> None:
        self._known: dict[nn.Linear, tuple[Tensor, Tensor]] = {}

    def set(self, layer: IntegerLinear, linear: nn.Linear, *, given: float, wanted: float) -> None:
        """Let `layer` do what `linear` does, between the scales of its inputs and outputs."""
        if linear not in self._known:
            self._known[linear] = rounded(linear.weight)
        weight, scale = self._known[linear]
        layer.set(weight, scale, linear.bias, given=given, wanted=wanted)


def scale_of(largest: float) -> float:
    """The step at which 127 stands for `largest`; what is always zero has a step of 1/127."""
    return (largest or 1.0) / LARGEST


def integer_layer(layer: FloatLayer, ranges: Ranges, weights: RoundedWeights) -> IntegerLayer:
    """The integer form of `layer` for activations within `ranges`; `weights` are those made so far."""
    scales = Ranges(*map(scale_of, ranges))
    device = layer.query.weight.device
    made = IntegerLayer(
        width=layer.query.in_features,
        heads=layer.query.out_features // layer.head_width,
        head_width=layer.head_width,
        inner=layer.ffn_in.out_features,
        activation=layer.activation,
    ).to(device)
    for name in ("query", "key", "value"):
        weights.set(getattr(made, name), getattr(layer, name), given=scales.states, wanted=getattr(scales, name))
    made.scores.set(_one(scales.query * scales.key / math.sqrt(layer.head_width) / FINE_SCALE, device))
    made.context.set(_one(scales.value / WEIGHTS / scales.context, device))
    first, second = (scale / 2**RESIDUAL_BITS for scale in (scales.states, scales.attended))
    weights.set(made.attention_output, layer.attention_output, given=scales.context, wanted=first)
    made.attention_norm.set(layer.attention_norm, given=first, wanted=scales.attended)
    weights.set(made.ffn_in, layer.ffn_in, given=scales.attended, wanted=FINE_SCALE)
    inner = gelu_scale(FINE_SCALE) if layer.activation == "gelu" else FINE_SCALE
    made.activated.set(_one(inner / scales.activated, device))
    weights.set(made.ffn_out, layer.ffn_out, given=scales.activated, wanted=second)
    made.output_norm.set(layer.output_norm, given=second, wanted=scales.outputs)
    made.exp_constants = torch.tensor(exp_constants(FINE_SCALE), device=device)
    made.gelu_constants = torch.tensor(gelu_constants(FINE_SCALE), device=device)
    return made


def _one(ratio: float, device: torch.device) -> Tensor:
    return torch.tensor([ratio], dtype=torch.float64, device=device)
