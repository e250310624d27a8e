"""Formulas over shapes, against loops, algebra and torch's own counter."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from bench.measures.computation.operators import Operation, attention_macs, convolution_macs, einsum_macs


def torchs_macs(run):
    """Half of what torch's own counter finds in `run`."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ni,oi->no", [(5, 8), (6, 8)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("bhqk, bhkd -> bqhd", [(2, 3, 4, 6), (2, 3, 6, 5)]),
        ("...i,io->...o", [(2, 3, 7, 5), (5, 4)]),
        ("b...i,b...j->bij", [(2, 3, 5), (2, 3, 4)]),
        ("ij,jk", [(3, 4), (4, 5)]),
        ("bi,bi->b", [(3, 4), (3, 4)]),
        ("ij,jk,kl->il", [(3, 4), (4, 5), (5, 6)]),
        ("abc,cd,de->abe", [(2, 3, 4), (4, 5), (5, 6)]),
        ("ij,j->", [(3, 4), (4,)]),
        ("bij,bjk->ik", [(7, 3, 4), (7, 4, 5)]),
        ("bi,bi->bi", [(3, 4), (3, 4)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij->j", [(3, 4)]),
        ("ii->i", [(4, 4)]),
    ],
)
def test_an_einsum_costs_what_torchs_counter_finds_in_the_products_that_it_runs(equation, shapes):
    operands = [torch.randn(shape) for shape in shapes]
    assert einsum_macs(equation, shapes) == torchs_macs(lambda: torch.einsum(equation, *operands))


def test_a_pair_of_an_einsum_costs_one_multiply_add_for_each_combination_of_its_indices():
    sizes = {"b": 2, "i": 3, "j": 4, "k": 5}
    combinations = sum(1 for _ in product(*(range(size) for size in sizes.values())))
    assert einsum_macs("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]) == combinations


def test_an_axis_that_only_one_operand_has_is_summed_before_the_product():
    assert einsum_macs("ij,jk->k", [(30, 4), (4, 5)]) == 4 * 5


def test_an_einsum_follows_the_path_that_it_is_given():
    shapes = [(30, 2), (2, 40), (40, 3)]
    assert einsum_macs("ab,bc,cd->ad", shapes) == 30 * 2 * 40 + 30 * 40 * 3
    assert einsum_macs("ab,bc,cd->ad", shapes, [1, 2, 0, 1]) == 2 * 40 * 3 + 30 * 2 * 3


@pytest.mark.parametrize(("keys", "key_width", "value_width"), [(6, 8, 8), (11, 8, 3), (1, 2, 5)])
def test_attention_costs_its_two_products(keys, key_width, value_width):
    query, key = torch.randn(2, 4, 7, key_width), torch.randn(2, 4, keys, key_width)
    value = torch.randn(2, 4, keys, value_width)
    expected = torchs_macs(lambda: (query @ key.transpose(-1, -2)).softmax(-1) @ value)
    assert attention_macs((2, 4, 7, value_width), keys=keys, key_width=key_width) == expected


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(6, 4, 3),
        nn.Conv1d(6, 4, 3, groups=2, stride=2, padding=1, dilation=2),
        nn.Conv2d(6, 4, (3, 2), bias=False),
        nn.ConvTranspose1d(6, 4, 3, stride=2),
    ],
    ids=["plain", "grouped", "2d", "transposed"],
)
def test_a_convolution_costs_what_torchs_counter_finds(layer):
    inputs = torch.randn(2, 6, 9, 8) if isinstance(layer, nn.Conv2d) else torch.randn(2, 6, 9)
    transposed = isinstance(layer, nn.ConvTranspose1d)
    found = convolution_macs(inputs.shape, layer.weight.shape, layer(inputs).shape, transposed=transposed)
    assert found == torchs_macs(lambda: layer(inputs)) > 0


def test_a_convolution_costs_one_multiply_add_for_each_step_of_its_loops():
    batch, width, channels, filters, kernel = 2, 9, 3, 4, 3
    steps = 0
    for _ in product(range(batch), range(filters), range(width - kernel + 1), range(channels), range(kernel)):
        steps += 1
    assert convolution_macs((batch, channels, width), (filters, channels, kernel), (batch, filters, 7)) == steps


def operation(weight, *, rows, weight_bits=32, activation_bits=32):
    macs = rows * weight.numel()
    return Operation("aten::linear", "", macs, weight_bits, activation_bits, ((weight,),))


def test_effective_multiply_adds_are_those_that_a_loop_finds_with_a_non_zero_weight():
    weight = torch.randn(5, 4)
    weight[weight < 0.2] = 0
    steps = sum(1 for _ in range(7) for row in weight.tolist() for value in row if value != 0)
    assert 0 < steps < 7 * 20
    assert operation(weight, rows=7).effective == steps


def test_bit_operations_are_those_of_every_pair_of_bits_that_a_loop_multiplies():
    bits = sum(1 for _ in product(range(3 * 20), range(8), range(4)))
    assert operation(torch.randn(5, 4), rows=3, weight_bits=8, activation_bits=4).bops == bits


def test_groups_of_weights_that_are_multiplied_with_each_other_multiply_their_shares():
    left, right = torch.ones(4, 6), torch.ones(6, 2)
    left[:, ::2] = 0
    both = Operation("aten::mm", "", 4 * 6 * 2, 32, 32, ((left,), (right,)))
    assert both.effective == int(((left != 0).long() @ (right != 0).long()).sum())


def test_products_of_two_activations_inside_a_fused_call_are_effective_in_full():
    weight = torch.zeros(4, 4)
    assert Operation("fused", "", 100, 32, 32, ((weight,),), activation_macs=36).effective == 36
    assert Operation("fused", "", 100, 32, 32, ()).effective == 100


def test_a_layer_without_weights_costs_nothing_and_divides_by_nothing():
    assert operation(torch.zeros(0, 4), rows=3).effective == 0


def test_the_layers_bias_is_no_multiply_add():
    weight, bias, x = torch.randn(6, 4), torch.randn(6), torch.randn(3, 4)
    assert torchs_macs(lambda: functional.linear(x, weight, bias)) == 3 * prod(weight.shape)
