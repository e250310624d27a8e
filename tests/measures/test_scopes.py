"""Multiply-adds by module, under the name by which each module was called."""

from __future__ import annotations

import torch
from torch import nn
from traced import Called, bert_inputs, encoder_macs

from bench.layers.int8 import Int8Linear
from bench.measures.computation.trace import trace


def children(totals, path):
    """The rows inside `path` that are inside no other row of it."""
    inside = [name for name in totals if name and name.startswith(path and f"{path}.")]
    return [name for name in inside if not any(name.startswith(f"{other}.") for other in inside)]


def test_modules_add_up_to_the_model_and_each_to_what_is_inside_it(tiny_bert):
    found = trace(tiny_bert(), bert_inputs(48))
    totals = found.by_module(9)
    assert totals[""] == found.macs
    for path in ("", "bert", "bert.encoder", "bert.encoder.layer.2", "bert.encoder.layer.2.attention"):
        assert totals[path] == sum(totals[child] for child in children(totals, path)), path
    own = 2 * 48**2 * 32  # the two attention products, which no module below makes
    attention = "bert.encoder.layer.2.attention.self"
    assert (
        totals[attention] == own + sum(totals[child] for child in children(totals, attention)) == own + 3 * 48 * 32**2
    )
    assert totals["bert.encoder.layer.2"] == encoder_macs(length=48, hidden=32, ffn=64, layers=1)
    assert (totals["bert.pooler"], totals["classifier"]) == (32 * 32, 32 * 2)


def test_module_paths_are_cut_where_asked_and_a_layers_number_is_no_step(tiny_bert):
    found = trace(tiny_bert(layers=2), bert_inputs(16))
    layers = {f"bert.encoder.layer.{index}" for index in range(2)}
    assert set(found.by_module(3)) == {
        "",
        "bert",
        "bert.encoder",
        *layers,
        "bert.pooler",
        "bert.pooler.dense",
        "classifier",
    }
    assert set(found.by_module(0)) == {""}


def test_a_shared_layer_counts_under_every_name_by_which_it_is_called(tiny_bert):
    model = tiny_bert()
    model.bert.encoder.layer[2] = model.bert.encoder.layer[0]
    totals = trace(model, bert_inputs(16)).by_module(9)
    one = encoder_macs(length=16, hidden=32, ffn=64, layers=1)
    assert [totals[f"bert.encoder.layer.{index}"] for index in range(4)] == [one] * 4
    assert totals["bert.encoder.layer.2.attention.self.query"] == 16 * 32 * 32


def test_a_module_with_two_owners_counts_under_the_one_that_calls_it():
    shared = nn.Linear(4, 4)
    first, second = (Called(lambda self, x: self.part(x), part=shared) for _ in range(2))
    model = Called(lambda self, x: self.second(x=self.second(x=self.first(x=x))), first=first, second=second)
    totals = trace(model, {"x": torch.randn(3, 4)}).by_module(9)
    assert totals == {"": 144, "first": 48, "first.part": 48, "second": 96, "second.part": 96}


def test_a_layer_called_in_a_loop_counts_every_call_under_its_one_name():
    model = Called(lambda self, x: self.layer(self.layer(self.layer(x))), layer=nn.Linear(4, 4))
    assert trace(model, {"x": torch.randn(3, 4)}).by_module(1) == {"": 144, "layer": 144}


def test_int8_layers_have_their_place_among_the_modules():
    model = Called(lambda self, x: self.parts(x), parts=nn.Sequential(Int8Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)))
    totals = trace(model.eval(), {"x": torch.randn(3, 8)}).by_module(2)
    assert totals == {"": 120, "parts.0": 96, "parts.2": 24}
