"""Adapters: what they see of each architecture, and which layers run."""

from __future__ import annotations

import pytest
import torch
from architectures import ARCHITECTURES
from families import ENCODERS, FAMILIES, make, outputs, same_outputs, same_state, state
from torch import nn

from bench.base.errors import MethodError, ModelError
from bench.models.adapter import ADAPTERS, ROLES, adapter_for
from bench.models.modules import copy_model, replace_module

SHAPES = {
    "query": (32, 32),
    "key": (32, 32),
    "value": (32, 32),
    "attention_output": (32, 32),
    "ffn_in": (64, 32),
    "ffn_out": (32, 64),
}


def runs(model) -> list[int]:
    """The ids of the layers of the model's own stack in the order in which a forward pass calls them."""
    called: list[int] = []
    layers = {id(layer): layer for layer in adapter_for(model).layers(model)}
    hooks = [layer.register_forward_hook(lambda layer, *_: called.append(id(layer))) for layer in layers.values()]
    outputs(model)
    for hook in hooks:
        hook.remove()
    return called


@pytest.mark.parametrize("family", FAMILIES)
class TestEveryFamily:
    def test_layers_are_those_that_a_forward_pass_calls(self, family):
        model = make(family)
        adapter = adapter_for(model)
        assert [id(layer) for layer in adapter.layers(model)] == runs(model)
        assert adapter.depth(model) == 4
        assert adapter.hidden_size(model) == 32
        assert adapter.heads(model) == 4

    @pytest.mark.parametrize("role", ROLES)
    def test_linears_of_a_role_have_its_shape_once_for_each_stored_layer(self, family, role):
        model = make(family)
        adapter = adapter_for(model)
        together = adapter.fused_with(role)
        found = adapter.linears(model, together)
        assert len(found) == (1 if family == "albert" else 4)
        rows, columns = SHAPES[role]
        folds = len(together) * (2 if role == "ffn_in" and adapter.gated else 1)
        for name, module in found.items():
            assert model.get_submodule(name) is module
            assert tuple(module.weight.shape) == (rows * folds, columns)

    def test_linears_are_all_the_linear_modules_of_the_stack(self, family):
        model = make(family)
        adapter = adapter_for(model)
        stack = model.get_submodule(adapter.stack_name(model))
        expected = {id(module) for module in stack.modules() if isinstance(module, nn.Linear)}
        assert {id(module) for module in adapter.linears(model).values()} == expected

    @pytest.mark.parametrize("order", [[1], [3, 0], [0, 0, 0, 0], [0, 1, 0, 1, 2], [2, 2, 1, 1, 0, 0]])
    def test_set_layers_runs_exactly_the_given_layers(self, family, order):
        model = make(family, **({"num_hidden_groups": 4} if family == "albert" else {}))
        adapter = adapter_for(model)
        stored = adapter.layers(model)
        adapter.set_layers(model, [stored[index] for index in order])
        assert runs(model) == [id(stored[index]) for index in order]
        assert adapter.depth(model) == len(order) == model.config.num_hidden_layers
        assert len(adapter.linears(model, ["attention_output"])) == len(set(order))

    def test_an_empty_stack_is_refused_and_nothing_changes(self, family):
        model = make(family)
        before = outputs(model)[0]
        with pytest.raises(MethodError, match="at least one layer"):
            adapter_for(model).set_layers(model, [])
        assert torch.equal(outputs(model)[0], before)

    def test_the_word_embedding_has_a_row_for_each_token(self, family):
        model = make(family)
        adapter = adapter_for(model)
        assert adapter.word_embedding(model).weight.shape[0] == 40
        assert adapter.word_embedding(model) in adapter.embeddings(model).values()

    def test_a_copy_shares_inside_itself_and_nothing_with_the_original(self, family):
        model = make(family)
        adapter = adapter_for(model)
        adapter.set_layers(model, [adapter.layers(model)[0]] * 3)
        before = state(model)
        copied = copy_model(model)
        assert same_outputs(model, copied)
        assert len({id(layer) for layer in adapter.layers(copied)}) == 1
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.zero_()
        adapter.set_layers(copied, adapter.layers(copied)[:1])
        assert same_state(model, before)
        assert adapter.depth(model) == model.config.num_hidden_layers == 3


def test_albert_blocks_inside_a_group_are_all_seen():
    model = make("albert", num_hidden_groups=2, inner_group_num=2)
    adapter = adapter_for(model)
    assert list(adapter.linears(model, ["key"])) == [
        f"albert.encoder.albert_layer_groups.{group}.albert_layers.{block}.attention.key"
        for group in (0, 1)
        for block in (0, 1)
    ]
    assert [id(layer) for layer in adapter.layers(model)] == runs(model)


def test_a_linear_shared_between_two_layers_is_given_once():
    model = make("bert")
    layers = adapter_for(model).layers(model)
    layers[2].attention.self.query = layers[0].attention.self.query
    assert len(adapter_for(model).linears(model, ["query"])) == 3


def test_an_architecture_without_an_adapter_is_refused_by_name():
    model = nn.Linear(2, 2)
    model.config = type("Config", (), {"model_type": "gpt2"})()
    with pytest.raises(
        ModelError, match=r"'gpt2' is not supported\. Supported: albert, bench-bilstm, .*, bert, deberta-v2, distilbert"
    ):
        adapter_for(model)
    with pytest.raises(ModelError, match=r"no config\.model_type"):
        adapter_for(nn.Linear(2, 2))


def test_every_adapter_is_registered_under_its_model_types():
    assert ADAPTERS.names() == sorted(
        [*ENCODERS, *ARCHITECTURES, "bench-listed-answers", "bench-retriever-reader", "bench-state-bilstm"]
    )
    for name, adapter in ADAPTERS.items():
        assert adapter.model_types == (name,)


def test_replace_module_changes_one_place_and_names_a_wrong_one():
    model = make("bert")
    new = nn.Linear(32, 32)
    replace_module(model, "bert.encoder.layer.1.attention.self.query", new)
    assert adapter_for(model).layers(model)[1].attention.self.query is new
    with pytest.raises(ModelError, match=r"no module named 'bert\.encoder\.layer\.9\.output'"):
        replace_module(model, "bert.encoder.layer.9.output", new)
    with pytest.raises(ModelError, match="cannot be replaced"):
        replace_module(model, "", new)
