"""Low-bit layers: equal to what their codes stand for, never dense as a whole, and described as data."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bench.layers import low_bit
from bench.layers.cells import Cells
from bench.layers.coding import Coding
from bench.layers.composite import ProductLinear
from bench.layers.layer import describe, rebuild
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear

FORMS = [("steps", 3), ("signs", 1), ("shifts", 4), ("affine", 2), ("interval", 4), ("codebook", 3), ("steps", 8)]
SHAPES = [(1, 29), (5, 29), (13, 29), (1, 10), (13, 10)]


def made(form, bits, groups=5, bucket=10, outliers=0, rows=13, columns=29):
    """A coding with random codes and side data, and the float matrix by plain loops over the definition."""
    draws = torch.Generator().manual_seed(bits)
    coding = Coding(
        form=form, bits=bits, cells=Cells(rows=rows, columns=columns, groups=groups, bucket=bucket), outliers=outliers
    )
    codes = torch.randint(0, 2**bits, (rows, columns), generator=draws, dtype=torch.uint8)
    side = {}
    for name, (shape, dtype) in coding.shapes().items():
        values = torch.rand(shape, generator=draws)
        side[name] = {"zero": values * 2**bits, "exponent": -8 * values, "low": -values}.get(name, values).to(dtype)
    if outliers:
        places = torch.randperm(rows * columns, generator=draws)[:outliers].sort().values
        side |= {"outlier_places": places.int(), "outlier_values": torch.randn(outliers, generator=draws) * 100}
    numbers = {
        "steps": lambda cell, code, signed: side["scale"][cell] * signed,
        "signs": lambda cell, code, signed: side["scale"][cell] * (2 * code - 1),
        "shifts": lambda cell, code, signed: 2.0 ** int(side["exponent"][cell]) * signed,
        "affine": lambda cell, code, signed: side["scale"][cell] * (code - int(side["zero"][cell])),
        "interval": lambda cell, code, signed: side["scale"][cell] * code + side["low"][cell],
        "codebook": lambda cell, code, signed: side["codebook"][cell][code],
    }
    whole = torch.empty(rows, columns)
    for row in range(rows):
        for column in range(columns):
            code = int(codes[row, column])
            signed = code - 2**bits if code >= 2 ** (bits - 1) else code
            whole[row, column] = numbers[form]((row * groups // rows, column // bucket), code, signed)
    if outliers:
        whole.view(-1)[side["outlier_places"].long()] = side["outlier_values"]
    return coding, codes, side, whole


@pytest.mark.parametrize("outliers", [0, 9])
@pytest.mark.parametrize(("groups", "bucket"), SHAPES)
@pytest.mark.parametrize(("form", "bits"), FORMS)
def test_a_linear_layer_is_what_its_codes_stand_for(form, bits, groups, bucket, outliers, monkeypatch):
    monkeypatch.setattr(low_bit, "TILE", 4 * 29)  # several tiles
    coding, codes, side, whole = made(form, bits, groups, bucket, outliers)
    bias = torch.randn(13)
    layer = LowBitLinear.from_codes(coding, codes, side, bias)
    assert torch.equal(layer.dense(), whole)
    assert torch.equal(layer.dense(), coding.whole(codes, side))
    inputs = torch.randn(2, 3, 29)
    expected = functional.linear(inputs, whole, bias)
    assert (layer(inputs) - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize("outliers", [0, 9])
@pytest.mark.parametrize(("form", "bits"), FORMS)
def test_an_embedding_gives_the_rows_of_its_table(form, bits, outliers):
    coding, codes, side, whole = made(form, bits, outliers=outliers)
    table = LowBitEmbedding.from_codes(coding, codes, side)
    ids = torch.tensor([[0, 12, 5], [5, 5, 11]])
    assert torch.equal(table(ids), functional.embedding(ids, whole))


@pytest.mark.parametrize(("form", "bits"), FORMS)
def test_the_bytes_of_a_layer_are_those_of_the_formula(form, bits):
    coding, codes, side, _ = made(form, bits, outliers=4)
    layer = LowBitLinear.from_codes(coding, codes, side, None)
    held = sum(tensor.numel() * tensor.element_size() for tensor in layer.state_dict().values())
    cell = {"steps": 4, "signs": 4, "shifts": 1, "affine": 5, "interval": 8, "codebook": 4 * 2**bits}[form]
    assert held == 13 * -(-29 * bits // 8) + 5 * 3 * cell + 4 * (4 + 4)
    assert held == coding.code_bytes + coding.side_bytes


def test_no_more_than_a_tile_is_in_float_at_once(monkeypatch):
    coding, codes, side, _ = made("steps", 4, rows=64, columns=32, bucket=32)
    layer = LowBitLinear.from_codes(coding, codes, side, None)
    monkeypatch.setattr(low_bit, "TILE", 8 * 32)
    seen = []
    decode = Coding.decode
    monkeypatch.setattr(Coding, "decode", lambda *given: seen.append(len(given[3])) or decode(*given))
    with torch.inference_mode():
        layer(torch.randn(2, 32))
    assert seen == [8] * 8


def test_a_tied_softmax_holds_the_tables_own_bytes():
    coding, codes, side, whole = made("affine", 4, outliers=3)
    table = LowBitEmbedding.from_codes(coding, codes, side)
    softmax = table.softmax(torch.ones(13))
    assert all(getattr(softmax, name) is getattr(table, name) for name in ("weight", *coding.shapes()))
    torch.testing.assert_close(softmax(torch.eye(29)), whole.t() + 1, rtol=0, atol=1e-6)


def test_gradients_pass_to_the_input():
    coding, codes, side, whole = made("interval", 3)
    inputs = torch.randn(2, 29, requires_grad=True)
    LowBitLinear.from_codes(coding, codes, side, None).train()(inputs).sum().backward()
    torch.testing.assert_close(inputs.grad, whole.sum(dim=0).expand(2, 29))


def test_layers_are_rebuilt_from_their_description():
    coding, codes, side, _ = made("codebook", 3, outliers=2)
    linear = LowBitLinear.from_codes(coding, codes, side, torch.ones(13))
    narrow = LowBitLinear.from_codes(*made("steps", 2, rows=29, columns=4, bucket=4)[:3], None)
    for layer in (
        linear,
        LowBitLinear.from_codes(coding, codes, side, None),
        LowBitEmbedding.from_codes(coding, codes, side),
        ProductLinear(narrow, linear),
    ):
        again = rebuild(*describe(layer), where="here")
        assert type(again) is type(layer)
        again.load_state_dict(layer.state_dict())
        for name, tensor in layer.state_dict().items():
            assert torch.equal(again.state_dict()[name], tensor)


def test_a_factorized_layer_is_its_two_factors_one_after_the_other():
    first = LowBitLinear.from_codes(*made("steps", 3, rows=5, columns=29, bucket=29)[:3], None)
    second = LowBitLinear.from_codes(*made("steps", 2, rows=13, columns=5, bucket=5)[:3], torch.ones(13))
    layer, inputs = ProductLinear(first, second), torch.randn(3, 29)
    dense = second.dense() @ first.dense()
    torch.testing.assert_close(layer(inputs), inputs @ dense.t() + 1, rtol=1e-4, atol=1e-5)
    assert layer.macs(7) == 7 * 5 * (29 + 13)
    torch.testing.assert_close(layer.dense(), dense)
