"""MobileBERT: its size, its bottlenecks and its stacked feed-forward parts."""

from __future__ import annotations

import pytest
import torch
from families import make, outputs, same_outputs
from torch import nn

from bench.artifacts import artifact
from bench.measures.computation.trace import trace
from bench.methods.shrink.cut import cut
from bench.methods.shrink.removable import removable
from bench.models.adapter import adapter_for
from bench.models.heads import config_of, from_config
from bench.models.roles import BOTTLENECK_ROLES, ROLES

WIDE, NARROW, FFN, LAYERS, STACKED = 48, 32, 64, 4, 4
SHAPES = {
    "query": (NARROW, NARROW),
    "key": (NARROW, NARROW),
    "value": (NARROW, WIDE),
    "attention_output": (NARROW, NARROW),
    "ffn_in": (FFN, NARROW),
    "ffn_out": (NARROW, FFN),
    "bottleneck_in": (NARROW, WIDE),
    "bottleneck_keys": (NARROW, WIDE),
    "bottleneck_out": (WIDE, NARROW),
}


@pytest.fixture
def model():
    return make("mobilebert", labels=2)


def count(model) -> int:
    return sum(parameter.numel() for parameter in {id(each): each for each in model.parameters()}.values())


def test_at_the_papers_size_the_body_has_24_84_million_parameters():
    with torch.device("meta"):
        body = from_config(config_of("mobilebert", {}), "sequence-classification").mobilebert
    assert round(count(body) / 1e6, 2) == 24.84
    assert body.config.num_hidden_layers == 24
    assert (body.config.hidden_size, body.config.true_hidden_size) == (512, 128)


def test_every_role_is_found_with_its_shape_in_every_layer(model):
    adapter = adapter_for(model)
    assert adapter.roles_of(model) == (*ROLES, *BOTTLENECK_ROLES)
    for role in adapter.roles_of(model):
        found = adapter.linears(model, [role])
        assert len(found) == LAYERS * (STACKED if role.startswith("ffn") else 1)
        assert {tuple(module.weight.shape) for module in found.values()} == {SHAPES[role]}
    inside = {id(module) for module in model.mobilebert.encoder.modules() if isinstance(module, nn.Linear)}
    assert {id(module) for module in adapter.linears(model).values()} == inside


def test_the_parts_of_a_layer_hold_every_tensor_once(model):
    layer = adapter_for(model).layers(model)[0]
    parts = adapter_for(model).parts(layer)
    assert list(parts) == ["attention", "ffn", "bottleneck", "norms"]
    tensors = [id(t) for names in parts.values() for name in names for t in layer.get_submodule(name).parameters()]
    assert sorted(tensors) == sorted(id(tensor) for tensor in layer.parameters())


def test_blocks_carry_wide_states_on_and_heads_divide_the_narrow_width(model):
    adapter, widths = adapter_for(model), []
    for layer in adapter.layers(model):
        layer.register_forward_hook(lambda _, given, states: widths.append((given[0].shape[-1], states.shape[-1])))
    outputs(model)
    assert widths == [(WIDE, WIDE)] * LAYERS
    assert adapter.hidden_size(model) == WIDE
    assert adapter.heads(model) * adapter.head_width(model) == NARROW


def test_fresh_norms_change_nothing():
    model = from_config(make("mobilebert").config, "sequence-classification")
    norms = [each for each in model.modules() if type(each).__name__ == "NoNorm"]
    assert len(norms) == 1 + LAYERS * (5 + STACKED - 1)
    for norm in norms:
        states = torch.randn(2, 3, norm.weight.numel())
        assert torch.equal(norm(states), states)


def test_its_multiply_adds_are_the_closed_form(model):
    length = 16
    ids = torch.arange(5, 5 + length)[None]
    found = trace(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    layer = length * (WIDE * NARROW * 4 + 3 * NARROW**2 + STACKED * 2 * NARROW * FFN) + 2 * length**2 * NARROW
    embedding = length * 3 * 16 * WIDE
    assert (found.coverage, found.uncounted) == (1.0, {})
    assert found.macs == LAYERS * layer + embedding + WIDE * WIDE + WIDE * 2


def test_heads_and_neurons_of_every_stacked_part_are_cut_without_changing_the_outputs(model, tmp_path, tokenizer):
    adapter, layer = adapter_for(model), adapter_for(model).layers(model)[1]
    with torch.no_grad():
        layer.attention.output.dense.weight[:, 8:16] = 0
        layer.ffn[1].output.dense.weight[:, 5:9] = 0
        layer.output.dense.weight[:, :] = 0
        for each in adapter.layers(model)[2:3]:
            each.attention.output.dense.weight[:, :] = 0
    dead = {each.name.partition(".layer.")[2]: len(each.dead) for each in removable(model, adapter) if each.dead}
    assert dead == {"1 attention": 1, "1 ffn": FFN, "1.ffn.1 ffn": 4, "2 attention": 4}
    before = outputs(model)[0]
    cut(model, adapter)
    torch.testing.assert_close(outputs(model)[0], before, rtol=0, atol=1e-4)
    assert layer.ffn[1].intermediate.dense.weight.shape == (FFN - 4, NARROW)
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert same_outputs(artifact.load(tmp_path / "a").model, model)
