"""Packed factorized embeddings: equal to the float form of the same numbers, in the bytes of their two parts."""

from __future__ import annotations

import pytest
import torch

from bench.layers.cells import Cells
from bench.layers.coding import Coding
from bench.layers.composite import ProductEmbedding
from bench.layers.factorized import FactorizedEmbedding
from bench.layers.layer import describe, rebuild
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear

ENTRIES, WIDTH, RANK = 23, 11, 5
IDS = torch.tensor([[0, 22, 7], [7, 7, 1]])


def coded(rows, columns, bits):
    draws = torch.Generator().manual_seed(rows)
    coding = Coding(form="steps", bits=bits, cells=Cells(rows=rows, columns=columns, groups=rows, bucket=columns))
    codes = torch.randint(0, 2**bits, (rows, columns), generator=draws, dtype=torch.uint8)
    return coding, codes, {"scale": torch.rand(rows, 1, generator=draws)}


@pytest.fixture
def layer():
    table = LowBitEmbedding.from_codes(*coded(ENTRIES, RANK, 3))
    return ProductEmbedding(table, LowBitLinear.from_codes(*coded(WIDTH, RANK, 4), None))


def test_it_gives_the_rows_of_the_float_form_of_the_same_numbers(layer):
    table, projection = layer.table.dense(), layer.projection.dense()
    plain = FactorizedEmbedding.from_factors(table, projection.t(), padding_idx=None)
    assert torch.equal(layer(IDS), plain(IDS))
    assert torch.equal(layer.dense(), plain.dense())
    assert layer.dense().count_nonzero() > 0
    assert (layer.num_embeddings, layer.embedding_dim) == (plain.num_embeddings, plain.embedding_dim)
    assert layer.macs(7) == plain.macs(7) == 7 * RANK * WIDTH


def test_its_bytes_are_those_of_the_codes_and_scales_of_both_parts(layer):
    held = sum(tensor.numel() * tensor.element_size() for tensor in layer.state_dict().values())
    assert held == ENTRIES * (2 + 4) + WIDTH * (3 + 4)  # 5 codes of 3 bits take 2 bytes, of 4 bits 3


def test_it_is_rebuilt_from_its_description(layer):
    again = rebuild(*describe(layer), where="here")
    assert type(again) is ProductEmbedding
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(IDS), layer(IDS))


def test_a_tied_softmax_holds_the_narrow_tables_own_bytes(layer):
    softmax = layer.tied(LowBitLinear.from_codes(*coded(RANK, WIDTH, 4), None), torch.ones(ENTRIES))
    assert all(getattr(softmax.second, name) is getattr(layer.table, name) for name in ("weight", "scale"))
    expected = layer.table.dense() @ softmax.first.dense()
    torch.testing.assert_close(softmax(torch.eye(WIDTH)), expected.t() + 1, rtol=1e-5, atol=1e-5)
