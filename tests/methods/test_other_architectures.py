"""Methods that were made for encoders, on LSTMs and translation models."""

from __future__ import annotations

import pytest
import torch
from architectures import ARCHITECTURES, TRANSLATORS, make_model
from families import same_state, state

from bench.methods.distill.distill import Distill
from bench.methods.prune.prune import Prune
from bench.methods.replace.replace import Replace
from bench.models.adapter import adapter_for


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_student_of_a_translator_has_half_of_each_stack(name, make_lab, monkeypatch):
    model = make_model(name)
    monkeypatch.setattr(Distill, "tune", lambda *_, **__: None)
    student = Distill().compress(model, make_lab(model))
    adapter = adapter_for(student)
    assert [adapter.depth(student, stack) for stack in ("encoder", "decoder")] == [1, 1]
    for stack in ("encoder", "decoder"):
        last = adapter.layers(model, stack)[-1].state_dict()
        kept = adapter.layers(student, stack)[0].state_dict()
        assert all(torch.equal(kept[key], tensor) for key, tensor in last.items())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_pruning_reaches_every_matrix_inside_the_layers(name, make_lab):
    model = make_model(name)
    before = state(model)
    pruned = Prune(sparsity=0.5, scope="layer", budget=0).compress(model, make_lab(model))
    for linear in adapter_for(pruned).linears(pruned).values():
        assert int((linear.weight == 0).sum()) == linear.weight.numel() // 2
    assert same_state(model, before)


@pytest.mark.parametrize(
    "method",
    [Prune(sparsity=0.5), Distill(student={"name": "layers", "layers": 1}, terms={"logits": 1.0}), Replace(layers=1)],
)
def test_a_bilstm_is_trained_by_methods_as_an_encoder_is(method, make_lab):
    model = make_model("bench-bilstm", num_labels=2)
    before = state(model)
    smaller = method.compress(model, make_lab(model))
    assert same_state(model, before)
    table = adapter_for(smaller).layers(smaller)[0].ahead.input_gates.weight
    assert not torch.equal(table, adapter_for(model).layers(model)[0].ahead.input_gates.weight)
