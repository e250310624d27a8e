"""Bytes by arithmetic: what a stored form needs, what a paper would claim, what a loaded model holds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.artifacts.codec import encode
from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.measures.storage.theory import claimed_bytes, resident_bytes, theoretical_bytes


def linear(rows, columns, *, zeros=0.0, seed=0):
    layer = nn.Linear(columns, rows, bias=False)
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(rows, columns, generator=generator) >= zeros
    layer.weight = nn.Parameter(torch.where(kept, torch.ones(()), torch.zeros(())))
    return layer


def test_an_int8_layer_needs_a_byte_a_weight_and_four_a_scale_and_bias():
    layer = Int8Linear.from_float(torch.ones(30, 20), torch.ones(30))
    assert theoretical_bytes(layer) == 30 * 20 + 4 * 30 + 4 * 30
    assert claimed_bytes(layer) == 30 * 20 + 4 * 30  # a paper does not count the scales


def test_a_factorized_layer_needs_its_two_thin_matrices():
    first, second = torch.ones(3, 20), torch.ones(30, 3)
    layer = FactorizedLinear.from_factors(first, second, torch.ones(30))
    assert theoretical_bytes(layer) == claimed_bytes(layer) == 4 * (3 * (20 + 30) + 30)


def test_half_precision_needs_two_bytes():
    assert theoretical_bytes(linear(30, 20).half()) == 2 * 30 * 20


def test_many_zeros_need_a_bit_each_beside_the_others():
    layer = linear(100, 100, zeros=0.5)
    kept = int(layer.weight.count_nonzero())
    assert theoretical_bytes(layer) == 100 * 100 // 8 + 4 * kept
    assert claimed_bytes(layer) == 4 * kept


def test_very_many_zeros_need_an_index_beside_each_of_the_others():
    layer = linear(100, 100, zeros=0.99)
    kept = int(layer.weight.count_nonzero())
    assert 0 < kept < 100 * 100 // 32
    assert theoretical_bytes(layer) == (4 + 4) * kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.int64])
@pytest.mark.parametrize("zeros", [0.0, 0.03, 0.2, 0.5, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_theory_meets_the_codec_that_it_does_not_call(rows, zeros, dtype):
    tensor = linear(rows, 61, zeros=zeros).weight.detach().to(dtype)
    holder = nn.Module()
    holder.register_buffer("weight", tensor)
    _, parts = encode(tensor)
    assert theoretical_bytes(holder) == sum(part.numel() * part.element_size() for part in parts.values())


def test_minus_zero_is_stored_and_so_is_no_zero():
    layer = linear(100, 100)
    with torch.no_grad():
        layer.weight.mul_(0).mul_(-1)  # all -0.0, which equals 0 and has a bit set
    assert theoretical_bytes(layer) == claimed_bytes(layer) == 4 * 100 * 100


def test_a_tied_tensor_and_a_shared_layer_count_once():
    one, other = linear(30, 20), linear(30, 20)
    apart, tied, shared = nn.ModuleList([one, other]), nn.ModuleList([linear(30, 20), one]), nn.ModuleList([one, one])
    tied[0].weight = one.weight
    assert theoretical_bytes(apart) == resident_bytes(apart) == 2 * 4 * 600
    for model in (tied, shared):
        assert theoretical_bytes(model) == claimed_bytes(model) == resident_bytes(model) == 4 * 600


def test_zeros_are_resident_all_the_same():
    assert resident_bytes(linear(100, 100, zeros=0.99)) == 4 * 100 * 100


def test_two_bit_weights_count_as_two_bits_packed_or_not(monkeypatch):
    layer = Int8Linear.from_float(torch.ones(32, 20), None)
    monkeypatch.setattr(Int8Linear, "weight_bits", 2)
    assert theoretical_bytes(layer) == 32 * 20 // 4 + 4 * 32
    layer.weight = torch.ones(32, 20 // 4, dtype=torch.int8)  # four weights in a byte
    assert theoretical_bytes(layer) == 32 * 20 // 4 + 4 * 32
