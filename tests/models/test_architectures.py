"""Translation models and LSTMs: what adapters see of them, what they cost, and that they survive saving."""

from __future__ import annotations

import pytest
import torch
from architectures import ARCHITECTURES, RECURRENT, TRANSLATORS, closed_form_macs, inputs_of, make_model, run, same_run
from families import FAMILIES, make, same_state, state
from torch import nn

from bench.artifacts import artifact
from bench.artifacts.source import open_source
from bench.base.errors import MethodError, ModelError
from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.measures.base.inputs import made_inputs
from bench.measures.computation.trace import trace
from bench.models.adapter import adapter_for
from bench.models.heads import HEADS, from_config, head_of
from bench.models.modules import copy_model, replace_module
from bench.models.roles import ALL_ROLES, CROSS_ROLES, GATE_ROLES, ROLES
from bench.models.tokenizer import write_tokenizer

STACKS = {
    "marian": {"encoder": 2, "decoder": 3},
    "encoder-decoder": {"encoder": 2, "decoder": 2},
    "bench-lstm-seq2seq": {"encoder": 2, "decoder": 3},
    "bench-lstm-lm": {"decoder": 2},
    "bench-bilstm": {"encoder": 2},
}
SHAPES = {
    **dict.fromkeys(("query", "key", "value", "attention_output", *CROSS_ROLES), (32, 32)),
    **dict.fromkeys(GATE_ROLES, (128, 32)),
    "ffn_in": (64, 32),
    "ffn_out": (32, 64),
    "softmax": (40, 32),
}


def runs(model, name, stack) -> list[int]:
    """The ids of the layers of a stack in the order in which a forward pass calls them."""
    called: list[int] = []
    layers = {id(layer): layer for layer in adapter_for(model).layers(model, stack)}
    hooks = [layer.register_forward_hook(lambda layer, *_: called.append(id(layer))) for layer in layers.values()]
    run(model, name)
    for hook in hooks:
        hook.remove()
    return called


def every_stack():
    return [(name, stack) for name, stacks in STACKS.items() for stack in stacks]


@pytest.mark.parametrize("name", ARCHITECTURES)
class TestEveryArchitecture:
    def test_it_has_the_head_it_was_made_with_and_no_stack_is_missing(self, name):
        model = make_model(name)
        adapter = adapter_for(model)
        assert head_of(model) == ARCHITECTURES[name][0]
        assert {stack: adapter.depth(model, stack) for stack in adapter.stacks(model)} == STACKS[name]
        assert adapter.depth(model) == sum(STACKS[name].values())
        assert adapter.hidden_size(model) == 32

    def test_every_role_that_it_has_is_found_with_its_shape(self, name):
        model = make_model(name)
        adapter = adapter_for(model)
        assert set(adapter.roles_of(model)) == {
            *(GATE_ROLES if name in RECURRENT else (*ROLES, *CROSS_ROLES)),
            *(["softmax"] if name != "bench-bilstm" else []),
        }
        for role in adapter.roles_of(model):
            found = adapter.linears(model, [role])
            assert found
            for path, module in found.items():
                assert model.get_submodule(path) is module
                assert tuple(module.weight.shape) == SHAPES[role]

    def test_without_roles_linears_are_all_the_linear_modules_of_the_layers(self, name):
        model = make_model(name)
        adapter = adapter_for(model)
        layers = [layer for stack in adapter.stacks(model) for layer in adapter.layers(model, stack)]
        inside = {id(module) for layer in layers for module in layer.modules() if isinstance(module, nn.Linear)}
        assert {id(module) for module in adapter.linears(model).values()} == inside

    def test_a_role_that_it_lacks_is_refused_and_those_it_has_are_named(self, name):
        model = make_model(name)
        adapter = adapter_for(model)
        has = adapter.roles_of(model)
        lacking = next(role for role in ALL_ROLES if role not in has)
        with pytest.raises(ModelError, match=rf"no matrix with the role '{lacking}'\. It has: {', '.join(has)}\."):
            adapter.linears(model, [lacking])

    def test_parts_hold_every_tensor_of_a_layer_once(self, name):
        model = make_model(name)
        adapter = adapter_for(model)
        for stack in adapter.stacks(model):
            for layer in adapter.layers(model, stack):
                parts = adapter.parts(layer)
                assert ("cross_attention" in parts) == (stack == "decoder" and name not in RECURRENT)
                named = [path for paths in parts.values() for path in paths]
                tensors = [id(tensor) for path in named for tensor in layer.get_submodule(path).parameters()]
                assert sorted(tensors) == sorted(id(tensor) for tensor in layer.parameters())

    def test_the_embedding_and_the_softmax_are_those_that_the_model_uses(self, name):
        model = make_model(name)
        adapter = adapter_for(model)
        assert adapter.word_embedding(model).weight.shape == (40, 32)
        assert adapter.word_embedding(model) in adapter.embeddings(model).values()
        projection = adapter.output_projection(model)
        assert (projection is None) == (name == "bench-bilstm")
        if projection is not None:
            before = run(model, name)[0]
            with torch.no_grad():
                projection.weight.zero_()
            assert not torch.equal(run(model, name)[0], before)

    def test_it_survives_saving_bit_for_bit(self, name, tmp_path, tokenizer):
        model = make_model(name)
        before = state(model)
        artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
        loaded = artifact.load(tmp_path / "a").model
        assert type(loaded) is type(model)
        assert not loaded.training
        assert same_run(model, loaded, name)
        assert same_state(loaded, before)
        assert loaded.state_dict().keys() == before.keys()

    def test_what_is_tied_stays_tied_after_loading(self, name, tmp_path, tokenizer):
        model = make_model(name)
        artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
        loaded = artifact.load(tmp_path / "a").model
        count = sum(parameter.numel() for parameter in model.parameters())
        assert sum(parameter.numel() for parameter in loaded.parameters()) == count

    def test_a_checkpoint_of_it_is_loaded_as_it_is(self, name, tmp_path, tokenizer):
        model = make_model(name)
        model.config.id2label = {0: "a", 1: "b", 2: "c"}
        model.save_pretrained(tmp_path / "m")
        write_tokenizer(tokenizer, tmp_path / "m")
        source = open_source(str(tmp_path / "m"))
        options = {"head": ARCHITECTURES[name][0], "labels": ("a", "b", "c"), "tokenizer": tokenizer, "seed": 1}
        assert same_run(source.build(**options), model, name)
        shallow = source.build(**options, depth=1)
        assert adapter_for(shallow).depth(shallow) == len(STACKS[name])
        assert not same_state(source.build(**options, pretrained=False), state(model))

    def test_every_operator_is_counted_and_the_sum_is_the_closed_form(self, name, tokenizer):
        model = make_model(name)
        inputs = made_inputs(model, 40, batch_size=1, length=11, target_length=6, device="cpu", seed=0)
        found = trace(model, inputs)
        assert (found.coverage, found.uncounted) == (1.0, {})
        assert found.macs == closed_form_macs(name, source=11, target=6)

    def test_factorized_and_integer_forms_run_count_and_survive_saving(self, name, tmp_path, tokenizer):
        model = make_model(name)
        inputs = made_inputs(model, 40, batch_size=1, length=11, target_length=6, device="cpu", seed=0)
        dense = trace(model, inputs).macs
        for index, (path, linear) in enumerate(adapter_for(model).linears(model).items()):
            if index % 2:
                replace_module(model, path, Int8Linear.from_float(linear.weight, linear.bias))
            else:
                bias = linear.bias is not None
                new = FactorizedLinear(linear.in_features, linear.out_features, 4, bias)
                nn.init.normal_(new.first)
                nn.init.normal_(new.second)
                replace_module(model, path, new)
        found = trace(model, inputs)
        assert found.coverage == 1.0
        assert found.macs < dense
        artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
        assert same_run(model, artifact.load(tmp_path / "a").model, name)

    def test_a_gradient_reaches_every_parameter_that_trains(self, name):
        model = make_model(name).train()
        model(**inputs_of(name)).logits.float().logsumexp(-1).sum().backward()
        silent = [key for key, tensor in model.named_parameters() if tensor.requires_grad and tensor.grad is None]
        assert silent == []

    def test_a_copy_shares_inside_itself_and_nothing_with_the_original(self, name):
        model = make_model(name)
        before = state(model)
        copied = copy_model(model)
        assert same_run(model, copied, name)
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.zero_()
        assert same_state(model, before)


@pytest.mark.parametrize(("name", "stack"), every_stack())
class TestEveryStack:
    def test_layers_are_those_that_a_forward_pass_calls(self, name, stack):
        model = make_model(name)
        adapter = adapter_for(model)
        assert [id(layer) for layer in adapter.layers(model, stack)] == runs(model, name, stack)
        half = model.get_submodule(adapter.half_name(model, stack))
        assert set(adapter.layers(model, stack)) <= set(half.modules())

    @pytest.mark.parametrize("order", [[1], [0, 0, 0], [0, 1, 0, 1]])
    def test_set_layers_runs_exactly_the_given_layers_and_survives_saving(
        self, name, stack, order, tmp_path, tokenizer
    ):
        model = make_model(name)
        adapter = adapter_for(model)
        stored = adapter.layers(model, stack)
        others = {each: adapter.layers(model, each) for each in adapter.stacks(model) if each != stack}
        adapter.set_layers(model, [stored[index] for index in order], stack)
        assert runs(model, name, stack) == [id(stored[index]) for index in order]
        assert adapter.depth(model, stack) == len(order)
        assert {each: adapter.layers(model, each) for each in others} == others
        artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
        loaded = artifact.load(tmp_path / "a").model
        assert same_run(model, loaded, name)
        assert len(set(adapter.layers(loaded, stack))) == len(set(order))

    def test_an_empty_stack_is_refused(self, name, stack):
        model = make_model(name)
        with pytest.raises(MethodError, match=f"the {stack} needs at least one layer"):
            adapter_for(model).set_layers(model, [], stack)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_of_an_encoder_layer_hold_every_tensor_once(family):
    model = make(family)
    adapter = adapter_for(model)
    layer = adapter.layers(model)[0]
    parts = adapter.parts(layer)
    assert list(parts) == ["attention", "ffn", "norms"]
    tensors = [id(t) for paths in parts.values() for path in paths for t in layer.get_submodule(path).parameters()]
    assert sorted(tensors) == sorted(id(tensor) for tensor in layer.parameters())


def test_an_encoder_has_one_stack_and_six_roles():
    model = make("bert")
    adapter = adapter_for(model)
    assert adapter.stacks(model) == ("encoder",)
    assert adapter.roles_of(model) == ROLES
    assert adapter.layers(model, "encoder") == adapter.layers(model)
    assert adapter.output_projection(model) is None
    assert adapter.roles_of(make("bert", "masked-language-modelling")) == (*ROLES, "softmax")
    with pytest.raises(ModelError, match=r"no stack 'decoder'\. It has: encoder\."):
        adapter.layers(model, "decoder")


@pytest.mark.parametrize("name", TRANSLATORS)
def test_the_encoders_and_the_decoders_operators_are_told_apart(name):
    model = make_model(name)
    adapter = adapter_for(model)

    def halves(source, target):
        inputs = made_inputs(model, 40, batch_size=1, length=source, target_length=target, device="cpu", seed=0)
        totals = trace(model, inputs).by_module(3)
        return [totals[adapter.half_name(model, stack)] for stack in ("encoder", "decoder")]

    assert halves(11, 6)[0] == halves(11, 3)[0]
    assert halves(11, 6)[1] > halves(11, 3)[1]


def test_a_head_that_an_architecture_does_not_have_is_refused():
    config = make_model("bench-lstm-lm").config
    with pytest.raises(ModelError, match="'bench-lstm-lm' has no translation head"):
        from_config(config, "translation")
    assert "translation" in HEADS


def test_heads_of_attention_are_those_of_the_configuration_and_an_lstm_has_none():
    for name in ("marian", "encoder-decoder"):
        model = make_model(name)
        assert adapter_for(model).heads(model) == 4
    with pytest.raises(ModelError, match="no attention heads"):
        adapter_for(make_model("bench-bilstm")).heads(make_model("bench-bilstm"))
