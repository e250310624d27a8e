"""Compositions of common parts in layers.json: written as before they were compositions, and read back."""

import json

import pytest
import torch
from families import make, same_outputs

from bench.artifacts import artifact
from bench.artifacts.short_forms import shortened, spelled_out
from bench.base.errors import ArtifactError
from bench.layers.cells import Cells
from bench.layers.coding import Coding
from bench.layers.composite import ProductEmbedding, ProductLinear, SumEmbedding, SumLinear
from bench.layers.input_rounding import InputRounding
from bench.layers.int8 import Int8Linear
from bench.layers.layer import describe, rebuild
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.models.modules import replace_module

QUERY, TABLE = "bert.encoder.layer.0.attention.self.query", "bert.embeddings.word_embeddings"


def coded(rows, columns, bits=4):
    draws = torch.Generator().manual_seed(rows + columns + bits)
    coding = Coding(form="steps", bits=bits, cells=Cells(rows=rows, columns=columns, groups=rows, bucket=columns))
    codes = torch.randint(0, 2**bits, (rows, columns), generator=draws, dtype=torch.uint8)
    return coding, codes, {"scale": torch.rand(rows, 1, generator=draws)}


def packed(rows, columns, bits=4, bias=None):
    return LowBitLinear.from_codes(*coded(rows, columns, bits), bias)


def table(rows, columns):
    return LowBitEmbedding.from_codes(*coded(rows, columns))


def low_bit(in_features, out_features, bits=4, *, bias):
    widths = {"in_features": in_features, "out_features": out_features}
    return {**widths, "form": "steps", "bits": bits, "groups": out_features, "bucket": in_features, "bias": bias}


def rows_of(entries, width):
    sizes = {"num_embeddings": entries, "embedding_dim": width}
    return {**sizes, "form": "steps", "bits": 4, "groups": entries, "bucket": width}


# Of each short form: where it stands, the composition, and what layers.json said of it in version 1 of its schema.
WRITTEN = {
    "int8-factorized-linear": (
        QUERY,
        lambda: ProductLinear(
            Int8Linear.from_float(torch.randn(8, 32), None), Int8Linear.from_float(torch.randn(32, 8), torch.ones(32))
        ),
        {"in_features": 32, "out_features": 32, "rank": 8, "bias": True},
    ),
    "low-bit-factorized-linear": (
        QUERY,
        lambda: ProductLinear(packed(8, 32, 3), packed(32, 8, bias=torch.ones(32))),
        {"first": low_bit(32, 8, 3, bias=False), "second": low_bit(8, 32, bias=True)},
    ),
    "low-bit-summed-linear": (
        QUERY,
        lambda: SumLinear(packed(32, 32), packed(32, 32, 3, torch.ones(32)), InputRounding(4, "affine", "token")),
        {
            "first": low_bit(32, 32, bias=False),
            "second": low_bit(32, 32, 3, bias=True),
            "inputs": {"bits": 4, "grid": "affine", "span": "token", "clip": None},
        },
    ),
    "low-bit-factorized-embedding": (
        TABLE,
        lambda: ProductEmbedding(table(40, 8), packed(32, 8)),
        {"table": rows_of(40, 8), "projection": low_bit(8, 32, bias=False)},
    ),
    "low-bit-summed-embedding": (
        TABLE,
        lambda: SumEmbedding(table(40, 32), table(40, 32)),
        {"first": rows_of(40, 32), "second": rows_of(40, 32)},
    ),
}


def without_defaults(arguments):
    """Without the number of outliers, which a coding states if there are some."""
    if not isinstance(arguments, dict):
        return arguments
    return {name: without_defaults(value) for name, value in arguments.items() if (name, value) != ("outliers", 0)}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_composition_of_common_parts_is_written_as_before_and_loads_bit_equal(kind, tmp_path, tokenizer):
    place, make_layer, arguments = WRITTEN[kind]
    model = make("bert")
    replace_module(model, place, make_layer().eval())
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    written = json.loads((tmp_path / "a" / "layers.json").read_text())["structure"]["replaced"][place]
    assert written["kind"] == kind
    assert without_defaults(written["arguments"]) == arguments
    loaded = artifact.load(tmp_path / "a").model
    assert type(loaded.get_submodule(place)) is type(model.get_submodule(place))
    assert same_outputs(model, loaded)


def test_a_composition_of_other_parts_is_written_with_the_kind_of_each(tmp_path, tokenizer):
    mixed = ProductLinear(packed(8, 32), Int8Linear.from_float(torch.randn(32, 8), torch.ones(32)))
    model = make("bert")
    replace_module(model, QUERY, mixed.eval())
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    written = json.loads((tmp_path / "a" / "layers.json").read_text())["structure"]["replaced"][QUERY]
    assert written["kind"] == "product-linear"
    assert {name: part["kind"] for name, part in written["arguments"].items()} == {
        "first": "low-bit-linear",
        "second": "int8-linear",
    }
    assert same_outputs(model, artifact.load(tmp_path / "a").model)


def test_a_composition_inside_another_is_rebuilt():
    layer = ProductLinear(SumLinear(packed(8, 32), packed(8, 32, 3)), packed(32, 8))
    again = rebuild(*spelled_out(*shortened(*describe(layer))), where="here")
    again.load_state_dict(layer.state_dict())
    inputs = torch.randn(3, 32)
    assert torch.equal(again(inputs), layer(inputs))


def test_a_short_form_without_one_of_its_parts_is_refused():
    with pytest.raises(TypeError, match="needs first and second, found first"):
        spelled_out("low-bit-summed-linear", {"first": {}})
    with pytest.raises(ArtifactError, match="do not fit layer kind"):
        rebuild(
            "product-linear",
            {"first": {"kind": "linear", "arguments": {"in_features": 2, "out_features": 2}}},
            where="x",
        )
