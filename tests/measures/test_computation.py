from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from families import make
from torch import nn

from bench.layers.int8 import Int8Linear
from bench.measures.computation.computation import Computation
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module
from bench.spec.setting import Measuring, Setting


@pytest.fixture
def read(tokenizer):
    """A function that measures an artifact beside a reference at 16 tokens."""

    def run(artifact, reference):
        sides = [SimpleNamespace(model=model, tokenizer=tokenizer) for model in (artifact, reference)]
        setting = Setting(measuring=Measuring(country="DEU", length=16))
        pair = SimpleNamespace(artifact=sides[0], reference=sides[1], setting=setting, device="cpu", seed=0)
        reading = Computation().read(pair)
        assert set(reading.values) | set(reading.absent) == set(Computation.columns)
        assert not set(reading.values) & set(reading.absent)
        return reading

    return run


class Toy(nn.Module):
    """A model of an architecture that no adapter knows."""

    def __init__(self, body):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=20)
        self.table = nn.Embedding(20, 8)
        self.layer = nn.Linear(8, 8)
        self.body = body

    def forward(self, input_ids, attention_mask):
        return self.body(self, self.layer(self.table(input_ids)))


def test_the_reference_beside_itself_has_equal_columns_and_no_warning(read, tiny_bert):
    reading = read(tiny_bert(), tiny_bert())
    assert reading.values == reading.reference
    macs = 4 * (16 * (4 * 32**2 + 2 * 32 * 64) + 2 * 16**2 * 32) + 32 * 32 + 32 * 2
    assert (reading.values["macs"], reading.values["flops"]) == (macs, 2 * macs)
    assert reading.values["speedup_layers"] == reading.values["flops_coverage"] == 1.0
    assert reading.warnings == []
    assert sum(reading.conditions["macs_by_operator"].values()) == macs


def test_half_the_layers_are_twice_as_fast_by_the_layer_proxy(read, tiny_bert):
    reading = read(tiny_bert(layers=2), tiny_bert(layers=4))
    assert reading.values["speedup_layers"] == 2.0
    assert (reading.conditions["layers"], reading.conditions["reference_layers"]) == (2, 4)


def test_layers_of_another_width_or_architecture_are_not_compared_by_their_number(read, tiny_bert):
    for other in (make("bert", hidden_size=16), make("distilbert")):
        reading = read(other, tiny_bert())
        assert "speedup_layers" not in reading.values
        assert "so their numbers say nothing of time" in reading.absent["speedup_layers"]
        assert reading.values["macs"] > 0


def test_zeros_in_dense_matrices_are_executed_and_flagged(read, tiny_bert):
    pruned = tiny_bert()
    with torch.no_grad():
        for linear in adapter_for(pruned).linears(pruned).values():
            linear.weight[:, ::2] = 0
    reading = read(pruned, tiny_bert())
    encoder = 4 * 16 * (4 * 32**2 + 2 * 32 * 64)
    assert reading.values["macs"] == reading.reference["macs"]
    assert reading.values["macs_effective"] == reading.values["macs"] - encoder // 2
    assert [code for code, _ in reading.warnings] == ["sparse-executes-dense"]


def test_an_int8_copy_has_the_reference_macs_and_fewer_bit_operations(read, tiny_bert):
    packed = tiny_bert()
    for name, linear in adapter_for(packed).linears(packed).items():
        replace_module(packed, name, Int8Linear.from_float(linear.weight, linear.bias))
    reading = read(packed, tiny_bert())
    assert reading.values["macs"] == reading.reference["macs"]
    kernels = reading.conditions["kernels"]
    assert sum(kernels.values()) == 24
    encoder = 4 * 16 * (4 * 32**2 + 2 * 32 * 64)
    saved = 0 if "dequantized" in kernels else encoder * (32 * 32 - 8 * 8)
    assert reading.values["bops"] == reading.reference["bops"] - saved
    assert "int8-linear" in reading.conditions["macs_by_operator"]


def test_int8_layers_without_an_integer_kernel_are_flagged(read, tiny_bert, monkeypatch):
    monkeypatch.setattr(Int8Linear, "kernel", "dequantized")
    packed = tiny_bert()
    name, linear = next(iter(adapter_for(packed).linears(packed).items()))
    replace_module(packed, name, Int8Linear.from_float(linear.weight, linear.bias))
    reading = read(packed, tiny_bert())
    assert "int8-executes-float" in [code for code, _ in reading.warnings]
    assert reading.values["bops"] == reading.reference["bops"]


def test_totals_are_absent_where_an_operator_cannot_be_counted_and_the_operator_is_named(read):
    reading = read(Toy(lambda self, x: torch.cdist(x, x)), Toy(lambda self, x: x))
    assert reading.values == {"flops_coverage": 0.5}
    assert reading.absent["macs"] == "no counting formula for the operators aten::cdist (1 calls)"
    assert "architecture is unknown" in reading.absent["speedup_layers"]


def test_a_model_that_cannot_be_traced_has_a_reason_for_every_column(read):
    def fail(self, x):
        raise RuntimeError("depth depends on the data")

    reading = read(Toy(fail), Toy(lambda self, x: x))
    assert reading.values == {}
    assert "depth depends on the data" in reading.absent["flops_coverage"]


def test_a_reference_that_cannot_be_counted_leaves_the_artifacts_totals_alone(read):
    reading = read(Toy(lambda self, x: x), Toy(lambda self, x: torch.cdist(x, x)))
    assert reading.values["macs"] == 16 * 8 * 8
    assert "macs" not in reading.reference


def test_a_reference_that_cannot_be_traced_leaves_the_artifacts_totals_alone_and_the_reason_is_stored(read):
    def fail(self, x):
        raise RuntimeError("depth depends on the data")

    reading = read(Toy(lambda self, x: x), Toy(fail))
    assert (reading.values["macs"], reading.values["flops_coverage"]) == (16 * 8 * 8, 1.0)
    assert reading.reference == {}
    assert "depth depends on the data" in reading.conditions["reference_uncounted"]


def test_the_breakdown_by_module_is_small_and_survives_json(read, tiny_bert):
    reading = read(tiny_bert(), tiny_bert(layers=2))
    modules = reading.conditions["macs_by_module"]
    assert modules[""] == reading.values["macs"]
    assert reading.conditions["reference_macs_by_module"][""] == reading.reference["macs"]
    layers = [modules[f"bert.encoder.layer.{index}"] for index in range(4)]
    assert sum(layers) == modules["bert.encoder"]
    assert len(modules) == 6 + 4
    assert json.loads(json.dumps(reading.conditions)) == reading.conditions


def test_a_length_that_the_model_cannot_take_is_the_reason_why_nothing_is_counted(read, tiny_bert):
    short = tiny_bert()
    short.config.max_position_embeddings = 8
    reading = read(short, tiny_bert())
    assert "takes at most 8" in reading.absent["macs"]
    assert reading.values == {"speedup_layers": 1.0}
