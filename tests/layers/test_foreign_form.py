"""A stored form of another package: what measures ask is answered by the form, and nothing else knows of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from families import make, same_outputs
from torch import nn

from bench.artifacts import artifact
from bench.layers.composite import ProductLinear
from bench.layers.int8 import Int8Linear
from bench.layers.layer import LAYER_KINDS
from bench.measures.computation.trace import trace
from bench.measures.storage.parameters import elements, nonzero, stored_parameters
from bench.measures.storage.theory import claimed_bytes, theoretical_bytes
from bench.models.modules import replace_module

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
QUERY = "bert.encoder.layer.0.attention.self.query"


@pytest.fixture
def form(monkeypatch):
    """The form that the page on plug-ins shows, with a row of zeros."""
    monkeypatch.setattr(LAYER_KINDS, "_plugins", dict(LAYER_KINDS.items()))
    (block,) = re.findall(
        r"```python\n(import torch\n\nfrom bench.layers.layer .*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    exec(block, {})

    def built(in_features, out_features):
        layer = LAYER_KINDS.get("sign-linear")(in_features, out_features)
        layer.weight[0] = 0  # a row that does nothing
        layer.scale.fill_(0.5)
        return layer

    return built


def test_measures_ask_the_form(form):
    layer = form(16, 8)
    model = nn.Sequential()
    model.append(layer)
    assert (elements(stored_parameters(model)), nonzero(stored_parameters(model))) == (128, 112)
    assert claimed_bytes(model) == 112 // 8
    assert theoretical_bytes(model) == 128 // 8 + 4  # the scale
    assert layer.operand_bits == (1, 32)
    assert layer.factors() is None


def test_it_is_saved_counted_and_composed_without_anything_else_knowing_it(form, tmp_path, tokenizer):
    model = make("bert")
    plain = trace(model, {"input_ids": torch.tensor([[2, 5, 3]])})
    replace_module(model, QUERY, ProductLinear(form(32, 4), Int8Linear.from_float(torch.randn(32, 4), None)).eval())
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a").model
    assert same_outputs(model, loaded)
    found = trace(loaded, {"input_ids": torch.tensor([[2, 5, 3]])})
    assert found.by_operator()["sign-linear"] == 3 * 32 * 4
    assert plain.macs - found.macs == 3 * (32 * 32 - 2 * 32 * 4)
    (counted,) = (each for each in found.operations if each.operator == "sign-linear")
    assert (counted.effective, counted.weight_bits, counted.activation_bits) == (3 * 32 * 3, 1, 32)
