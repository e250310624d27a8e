"""An encoder in integers: the executed graph has no floating point, and what it computes is near the float layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import bench.layers.integer.layer as integer_layer_module
from bench.base.errors import MethodError, ModelError
from bench.layers.integer.arithmetic import WEIGHTS
from bench.layers.integer.convert import FloatLayer, Ranges, RoundedWeights, integer_layer, scale_of
from bench.layers.integer.layer import FINE_SCALE, IntegerLayer, IntegerStack, dequantized, quantized, seen_of

WIDTH, HEADS, HEAD_WIDTH, INNER, BATCH, LENGTH = 32, 3, 8, 48, 4, 9


class Walk(TorchDispatchMode):
    """Every operator that runs, with the dtypes of the tensors that it is given and gives, and its float numbers."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given, made = tree_leaves((args, kwargs or {})), tree_leaves(result)
        dtypes = [[leaf.dtype for leaf in leaves if isinstance(leaf, torch.Tensor)] for leaves in (given, made)]
        numbers = [leaf for leaf in given if isinstance(leaf, float)]
        self.calls.append((func.overloadpacket.__name__, *dtypes, numbers))
        return result

    def in_floats(self):
        """Operators that touch a floating dtype or a floating number."""
        return [name for name, given, made, numbers in self.calls if numbers or any(map(_floats, (*given, *made)))]


def _floats(dtype):
    return dtype.is_floating_point or dtype.is_complex


def between_quantizing_and_dequantizing(calls):
    """The calls after the one cast from float to int8 and before the one cast back."""
    casts = [
        (place, _floats(given[0]))
        for place, (name, given, made, _) in enumerate(calls)
        if name == "_to_copy" and {given[0], made[0]} >= {torch.int8} and _floats(given[0]) != _floats(made[0])
    ]
    (first, into), (last, back) = casts
    assert (into, back) == (True, False)
    return calls[first + 1 : last]


def float_layer(seed=0, activation="gelu", bias=True):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        attention = HEADS * HEAD_WIDTH
        sides = [(WIDTH, attention)] * 3 + [(attention, WIDTH), (WIDTH, INNER), (INNER, WIDTH)]
        query, key, value, output, ffn_in, ffn_out = (nn.Linear(*side, bias=bias) for side in sides)
        norms = [nn.LayerNorm(WIDTH, eps=1e-5) for _ in range(2)]
        for norm in norms:
            nn.init.normal_(norm.weight, 1.0, 0.2)
            nn.init.normal_(norm.bias, 0.0, 0.2)
    return FloatLayer(query, key, value, output, norms[0], ffn_in, ffn_out, norms[1], activation, HEAD_WIDTH)


@torch.no_grad()
def in_floats(layer, states, seen):
    """The layer as the papers define it, and the largest magnitude of each activation."""
    heads = [
        part(states).unflatten(-1, (HEADS, HEAD_WIDTH)).transpose(1, 2)
        for part in (layer.query, layer.key, layer.value)
    ]
    scores = heads[0] @ heads[1].transpose(-1, -2) / math.sqrt(HEAD_WIDTH)
    scores = scores if seen is None else scores.masked_fill(~seen, -torch.inf)
    context = (scores.softmax(-1) @ heads[2]).transpose(1, 2).flatten(2)
    attended = layer.attention_norm(layer.attention_output(context) + states)
    inner = getattr(functional, layer.activation)(layer.ffn_in(attended))
    outputs = layer.output_norm(layer.ffn_out(inner) + attended)
    sizes = [float(each.abs().max()) for each in (states, *heads, context, attended, inner, outputs)]
    return outputs, Ranges(*sizes)


def states_of(seed=0):
    return torch.randn(BATCH, LENGTH, WIDTH, generator=torch.Generator().manual_seed(seed))


def stack_of(layers=2, activation="gelu", bias=True):
    """A stack converted for `states_of()`, and the float layers' outputs."""
    stack, states, weights = IntegerStack(), states_of(), RoundedWeights()
    made = []
    for seed in range(layers):
        layer = float_layer(seed, activation, bias)
        outputs, ranges = in_floats(layer, states, None)
        made.append(integer_layer(layer, ranges, weights))
        if seed == 0:
            stack.first_scale.fill_(scale_of(ranges.states))
        stack.last_scale.fill_(scale_of(ranges.outputs))
        states = outputs
    return stack.adopt(made).eval(), states


@torch.no_grad()
def test_nothing_floats_between_quantizing_and_dequantizing():
    stack, _ = stack_of(layers=3)
    mask = torch.ones(BATCH, 1, 1, LENGTH, dtype=torch.bool)
    mask[1, ..., 4:] = False
    with Walk() as walk:
        stack(states_of(), mask)
    inside = between_quantizing_and_dequantizing(walk.calls)
    assert len(inside) > 100 * 3
    products = [name for name, *_ in inside if name in ("mm", "bmm")]
    assert (products.count("mm"), products.count("bmm")) == (3 * 6, 3 * 2)
    assert {dtype for _, given, made, _ in inside for dtype in (*given, *made)} == {
        torch.int8,
        torch.uint8,
        torch.int32,
        torch.int64,
        torch.bool,
    }
    assert not [number for *_, numbers in inside for number in numbers]


def _soft_in_floats(scores, seen, constants):
    return torch.round(torch.softmax(scores * FINE_SCALE, dim=-1) * WEIGHTS).to(torch.uint8)


def _divided(values, constants):
    return torch.round(values / 2).long()


@pytest.mark.parametrize(("name", "sneaking"), [("i_softmax", _soft_in_floats), ("i_gelu", _divided)])
@torch.no_grad()
def test_the_walk_finds_a_function_that_computes_in_floats_behind_integers(monkeypatch, name, sneaking):
    stack, _ = stack_of(layers=1)
    states = quantized(states_of(), stack.first_scale)
    with Walk() as walk:
        stack.in_integers(states, None)
    assert walk.calls
    assert not walk.in_floats()
    monkeypatch.setattr(integer_layer_module, name, sneaking)
    with Walk() as walk:
        assert stack.in_integers(states, None).dtype == torch.int8
    assert walk.in_floats()


def test_only_the_two_scales_at_its_ends_are_floats():
    stack, _ = stack_of()
    floats = [name for name, tensor in stack.state_dict().items() if tensor.is_floating_point()]
    assert sorted(floats) == ["first_scale", "last_scale"]
    assert not list(stack.parameters())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@torch.no_grad()
def test_a_layer_is_near_the_float_one(activation, bias):
    layer, states = float_layer(activation=activation, bias=bias), states_of()
    seen = torch.ones(BATCH, 1, 1, LENGTH, dtype=torch.bool)
    seen[2, ..., 3:] = False
    outputs, ranges = in_floats(layer, states, seen)
    made = integer_layer(layer, ranges, RoundedWeights())
    found = dequantized(made(quantized(states, scale_of(ranges.states)), seen), scale_of(ranges.outputs))
    assert (found - outputs).norm() / outputs.norm() < 0.02
    assert (found - outputs).abs().max() < 0.12


@torch.no_grad()
def test_layers_after_one_another_stay_near_the_float_ones():
    stack, outputs = stack_of(layers=4)
    found = stack(states_of())
    assert (found - outputs).norm() / outputs.norm() < 0.05


@torch.no_grad()
def test_an_example_is_the_same_to_the_bit_alone_and_in_a_padded_batch():
    stack, _ = stack_of(layers=3)
    states = states_of()
    mask = torch.ones(BATCH, 1, LENGTH, LENGTH, dtype=torch.bool)
    lengths = (9, 4, 7, 1)
    for row, length in enumerate(lengths):
        mask[row, ..., length:] = False
    together = stack(states, mask)
    for row, length in enumerate(lengths):
        assert torch.equal(stack(states[row : row + 1, :length], None), together[row : row + 1, :length])
    assert torch.equal(stack(states, attention_mask=mask), together)


@torch.no_grad()
def test_masks_of_every_form_mean_the_same():
    stack, _ = stack_of()
    tokens = torch.ones(BATCH, LENGTH).long()
    tokens[1, 5:] = 0
    seen = tokens[:, None, None, :] > 0
    added = torch.zeros(BATCH, 1, 1, LENGTH).masked_fill(~seen, torch.finfo(torch.float32).min)
    states = states_of()
    found = [stack(states, mask) for mask in (tokens, seen, added)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], stack(states))


def test_other_masks_are_refused():
    with pytest.raises(ModelError, match="masks of 2 or 4 dimensions, found Tensor"):
        seen_of(torch.ones(2, 3, 3))


def test_training_through_it_is_refused():
    stack, _ = stack_of()
    with pytest.raises(MethodError, match="use integer in the last stage"):
        stack.train()(states_of().requires_grad_())


def test_a_channel_without_weights_keeps_its_bias():
    # ReLU: what GELU gives for biases alone is as small as the error of its polynomial.
    layer, states = float_layer(activation="relu"), states_of()
    with torch.no_grad():
        layer.ffn_out.weight[5] = 0.0
        layer.ffn_out.bias[5] = 0.7
        layer.ffn_in.weight[:] = 0.0
    outputs, ranges = in_floats(layer, states, None)
    made = integer_layer(layer, ranges, RoundedWeights())
    found = dequantized(made(quantized(states, scale_of(ranges.states))), scale_of(ranges.outputs))
    assert (found - outputs).norm() / outputs.norm() < 0.02


def test_a_bias_beyond_the_bits_of_its_sums_is_refused():
    layer = float_layer()
    _, ranges = in_floats(layer, states_of(), None)
    with torch.no_grad():
        layer.value.bias[0] = 1e6
    with pytest.raises(MethodError, match="steps of its sums, above"):
        integer_layer(layer, ranges, RoundedWeights())


def test_multiply_adds_are_those_of_the_float_layer():
    made = IntegerLayer(WIDTH, HEADS, HEAD_WIDTH, INNER)
    weights = sum(part.weight.numel() for part in made.modules() if getattr(part, "weight", torch.ones(1)).dim() == 2)
    attention = 2 * BATCH * HEADS * LENGTH * LENGTH * HEAD_WIDTH
    assert made.macs(BATCH, LENGTH) == BATCH * LENGTH * weights + attention
    assert IntegerStack().adopt([made, made]).macs(BATCH, LENGTH) == 2 * made.macs(BATCH, LENGTH)
