"""Linear maps without rows or columns: what is left is the same map on what stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.base.errors import MethodError
from bench.layers.cutting import factors, through_columns, with_columns, with_rows, zero_columns, zero_rows
from bench.layers.empty import EmptyAttention, EmptyLinear
from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear

KEPT = torch.tensor([0, 3, 4])


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dense(bias=True):
    layer = nn.Linear(5, 5, bias)
    layer.weight = nn.Parameter(normal(5, 5))
    return layer


def product(bias=True):
    return FactorizedLinear.from_factors(normal(3, 5), normal(5, 3, seed=1), normal(5, seed=2) if bias else None)


def told(layer):
    return factors(layer, where="here")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("build", [dense, product])
def test_rows_that_stay_give_what_they_gave(build, bias):
    layer, inputs = build(bias), normal(2, 5, seed=3)
    left = with_rows(told(layer), KEPT)
    assert type(left) is type(layer)
    torch.testing.assert_close(left(inputs), layer(inputs)[:, KEPT])
    assert not {tensor.data_ptr() for tensor in left.parameters()} & {
        tensor.data_ptr() for tensor in layer.parameters()
    }


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("build", [dense, product])
@pytest.mark.parametrize("kept", [KEPT, KEPT[:0]])
def test_constant_inputs_may_move_into_the_bias(build, bias, kept):
    layer, inputs = build(bias), normal(2, 5, seed=3)
    gone = torch.tensor([number for number in range(5) if number not in kept])
    inputs[:, gone] = normal(len(gone), seed=4)
    left = with_columns(told(layer), kept, through_columns(told(layer), gone, inputs[0, gone]))
    assert type(left) is (type(layer) if len(kept) else EmptyLinear)
    torch.testing.assert_close(left(inputs[:, kept]), layer(inputs))


@pytest.mark.parametrize("build", [dense, product])
def test_zero_rows_and_columns_are_found_exactly(build):
    layer = build()
    with torch.no_grad():
        told(layer).left[1] = 0
        (layer.weight if build is dense else layer.first)[:, 2] = -0.0
        (layer.weight if build is dense else layer.first)[:, 3] = 0
        (layer.weight if build is dense else layer.first)[0, 3] = 1e-40
    assert zero_rows(told(layer)).tolist() == [False, True, False, False, False]
    assert zero_columns(told(layer)).tolist() == [False, False, True, False, False]


def test_cutting_draws_no_random_numbers():
    layer = dense()
    before = torch.get_rng_state()
    with_rows(told(layer), KEPT)
    with_columns(told(layer), KEPT)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_integer_layer_is_refused_by_name():
    with pytest.raises(MethodError, match="here is a Int8Linear"):
        told(Int8Linear(5, 5))


def test_a_map_with_weights_is_no_empty_one():
    with pytest.raises(MethodError, match=r"use nn\.Linear"):
        EmptyLinear(2, 3)


def test_an_empty_map_without_a_bias_gives_zeros():
    assert torch.equal(EmptyLinear(0, 3)(normal(2, 4, 0)), torch.zeros(2, 4, 3))
    assert EmptyLinear(3, 0)(normal(2, 4, 3)).shape == (2, 4, 0)


def test_an_empty_attention_ends_as_the_one_it_replaces_does():
    made = EmptyAttention(4, output="dense", norm="LayerNorm", eps=1e-5).eval()
    made.dense.bias.data = normal(4)
    hidden = normal(2, 3, 4, seed=1)
    torch.testing.assert_close(made(hidden)[0], nn.functional.layer_norm(hidden + normal(4), (4,)))
    assert torch.equal(EmptyAttention(4, output="dense").eval()(hidden)[0], torch.zeros(2, 3, 4))
    assert EmptyAttention(4)(hidden)[0].shape == (2, 3, 0)


@pytest.mark.parametrize("cross", [False, True])
def test_only_an_empty_self_attention_counts_tokens_in_a_cache(cross):
    from transformers import DynamicCache, EncoderDecoderCache

    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    for length in (3, 1):
        EmptyAttention(4, layer_idx=0, cross=cross)(normal(2, length, 4), past_key_values=cache)
    assert cache.get_seq_length() == (0 if cross else 4)
