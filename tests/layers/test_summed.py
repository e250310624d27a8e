"""Layers whose weight is the sum of two matrices, in float and packed: what they compute, store and cost."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bench.layers import low_bit
from bench.layers.cells import Cells
from bench.layers.coding import Coding
from bench.layers.composite import SumEmbedding, SumLinear
from bench.layers.input_rounding import InputRounding
from bench.layers.layer import describe, rebuild
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.layers.summed import SummedEmbedding, SummedLinear
from bench.measures.storage.parameters import elements, embedding_parameters, stored_parameters

ROWS, COLUMNS = 13, 29


def signs(seed, groups=1):
    """Binary codes with random scales, and the float matrix that they stand for."""
    draws = torch.Generator().manual_seed(seed)
    coding = Coding(form="signs", bits=1, cells=Cells(rows=ROWS, columns=COLUMNS, groups=groups, bucket=COLUMNS))
    codes = torch.randint(0, 2, (ROWS, COLUMNS), generator=draws, dtype=torch.uint8)
    side = {"scale": torch.rand(groups, 1, generator=draws) + 0.1}
    return coding, codes, side, coding.whole(codes, side)


def linears(bias=True, inputs=None):
    first, second = signs(1), signs(2)
    added = torch.randn(ROWS, generator=torch.Generator().manual_seed(3)) if bias else None
    layer = SumLinear(LowBitLinear.from_codes(*first[:3], None), LowBitLinear.from_codes(*second[:3], added), inputs)
    return layer, first[3] + second[3], added


def tables():
    first, second = signs(1, ROWS), signs(2, ROWS)
    table = SumEmbedding(LowBitEmbedding.from_codes(*first[:3]), LowBitEmbedding.from_codes(*second[:3]))
    return table, first[3] + second[3]


@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_multiplies_by_the_sum_of_both_matrices(bias, monkeypatch):
    monkeypatch.setattr(low_bit, "TILE", 4 * COLUMNS)  # several tiles
    layer, whole, added = linears(bias)
    inputs = torch.randn(2, 3, COLUMNS)
    torch.testing.assert_close(layer(inputs), functional.linear(inputs, whole, added))
    assert torch.equal(layer.dense(), whole)
    assert (layer.operand_bits, layer.weight_bits, layer.activation_bits) == ((32, 32), 1, 32)


def test_inputs_are_rounded_once_for_both_matrices():
    rounding = InputRounding(4, "affine", "token")
    layer, whole, added = linears(inputs=rounding)
    inputs = torch.randn(2, 3, COLUMNS)
    torch.testing.assert_close(layer(inputs), functional.linear(rounding(inputs), whole, added))
    assert layer.activation_bits == 4
    assert (layer(inputs) - linears()[0](inputs)).abs().max() > 1e-3


def test_a_packed_table_gives_the_sum_of_the_rows_of_both_and_is_shared_by_a_tied_softmax():
    table, whole = tables()
    ids = torch.tensor([[0, 12, 5], [5, 5, 11]])
    assert torch.equal(table(ids), whole[ids])
    assert torch.equal(table.dense(), whole)
    softmax = table.softmax(torch.ones(ROWS))
    inputs = torch.randn(4, COLUMNS)
    torch.testing.assert_close(softmax(inputs), functional.linear(inputs, whole, torch.ones(ROWS)))
    assert softmax.first.weight is table.first.weight
    assert softmax.second.scale is table.second.scale


@pytest.mark.parametrize(
    "make",
    [
        lambda: linears()[0],
        lambda: linears(bias=False, inputs=InputRounding.fixed(-1.0, 2.0))[0],
        lambda: tables()[0],
        lambda: SummedLinear(COLUMNS, ROWS, bias=False),
        lambda: SummedEmbedding(ROWS, COLUMNS, padding_idx=0),
    ],
)
def test_every_form_is_rebuilt_from_its_description(make):
    layer = make()
    kind, arguments = describe(layer)
    again = rebuild(kind, arguments, where="test")
    assert type(again) is type(layer)
    assert again.arguments() == arguments
    again.load_state_dict(layer.state_dict())
    given = torch.tensor([1, 4]) if "embedding" in kind else torch.randn(3, COLUMNS)
    assert torch.equal(again(given), layer(given))


def test_two_bits_a_weight_are_stored_and_both_matrices_are_parameters():
    layer, _, _ = linears()
    packed = [tensor for name, tensor in layer.state_dict().items() if name.endswith("weight")]
    assert sum(tensor.numel() for tensor in packed) == 2 * ROWS * 4  # 29 bits are 4 bytes
    assert elements(stored_parameters(layer)) == 2 * ROWS * COLUMNS + ROWS
    table, _ = tables()
    assert elements(embedding_parameters(table)) == elements(stored_parameters(table)) == 2 * ROWS * COLUMNS


def test_both_float_matrices_train_and_the_padding_row_does_not():
    layer, table = SummedLinear(COLUMNS, 4), SummedEmbedding(ROWS, COLUMNS, padding_idx=0)
    with torch.no_grad():
        for parameter in (*layer.parameters(), *table.parameters()):
            parameter.normal_()
    ids = torch.tensor([0, 3, 0])
    out = layer(table(ids))
    expected = functional.linear((table.first + table.second)[ids], layer.first + layer.second, layer.bias)
    torch.testing.assert_close(out, expected)
    out.square().sum().backward()
    for owner in (layer, table):
        assert owner.first.grad.abs().max() > 0
        assert torch.equal(owner.first.grad, owner.second.grad)
    assert not table.first.grad[0].any()
