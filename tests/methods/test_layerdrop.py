from __future__ import annotations

import math

import pytest
import torch
from made_masks import made, outputs
from made_pruning import lab_of

from bench.base.errors import MethodError
from bench.methods.exit.halt import Halt
from bench.methods.share.share import Share
from bench.methods.shrink.layerdrop import LayerDrop
from bench.methods.shrink.shrink import Shrink
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module
from bench.training.hooks import DroppingList

ITERATING = ("bert", "roberta", "distilbert", "electra", "marian", "encoder-decoder")


def counted(model):
    """A list that grows with the stack and the number of each layer that runs."""
    runs = []
    adapter = adapter_for(model)
    for stack in adapter.stacks(model):
        for number, layer in enumerate(adapter.layers(model, stack)):
            layer.register_forward_pre_hook(lambda *_, place=(stack, number): runs.append(place))
    return runs


def dropping(model, rate):
    adapter = adapter_for(model)
    draws = torch.Generator().manual_seed(0)
    for stack in adapter.stacks(model):
        layers = DroppingList(adapter.layers(model, stack), rate=rate, draws=draws)
        replace_module(model, adapter.stack_name(model, stack), layers)
    return model


@pytest.mark.parametrize("name", ITERATING)
def test_in_training_each_layer_runs_with_probability_one_minus_rate(name):
    model = made(name)
    runs, depth = counted(model), adapter_for(model).depth(model)
    dropping(model, 0.2).train()
    passes = 80
    for _ in range(passes):
        outputs(model, name)
    spread = math.sqrt(passes * depth * 0.2 * 0.8)
    assert abs(len(runs) - 0.8 * passes * depth) < 4 * spread
    for place in set(runs):
        assert abs(runs.count(place) - 0.8 * passes) < 4 * math.sqrt(passes * 0.2 * 0.8)
    assert len(set(runs)) == depth


def test_layers_are_left_out_independently_of_each_other():
    layers = dropping(made("bert"), 0.5).bert.encoder.layer.train()
    found = []
    for _ in range(2000):
        kept = {id(layer) for layer in layers}
        found.append([id(layer) in kept for layer in layers._modules.values()])
    both = torch.tensor(found).float()
    correlations = torch.corrcoef(both.t()) - torch.eye(4)
    assert float(correlations.abs().max()) < 4 / math.sqrt(2000)


@pytest.mark.parametrize("name", ITERATING)
def test_a_pass_without_some_layers_is_the_model_without_them(name):
    model = made(name)
    plain = [outputs(model, name)[0]]
    adapter = adapter_for(model)
    everything = {stack: adapter.layers(model, stack) for stack in adapter.stacks(model)}
    runs = counted(model)
    dropping(model, 0.5)
    for module in model.modules():
        module.training = isinstance(module, DroppingList)  # layers are dropped, nothing else is
    ran: list[tuple[str, int]] = []
    while {stack for stack, _ in ran} != set(everything):  # a stack may lose all its layers, but cannot be built so
        runs.clear()
        dropped = outputs(model, name)[0]
        ran = list(runs)
    for stack, layers in everything.items():
        kept = [layer for number, layer in enumerate(layers) if (stack, number) in ran]
        adapter.set_layers(model, kept, stack)
    assert torch.equal(outputs(model.eval(), name)[0], dropped)
    assert len(ran) < sum(len(layers) for layers in everything.values())
    assert not torch.equal(plain[0], dropped)


@pytest.mark.parametrize("name", ITERATING)
def test_the_result_runs_every_layer_and_is_built_as_the_given_model(make_lab, name):
    model = made(name, labels=2) if name not in ("marian", "encoder-decoder") else made(name)
    result = LayerDrop(rate=0.4).compress(model, lab_of(name, make_lab, model=model))
    assert [type(module) for module in result.modules()] == [type(module) for module in model.modules()]
    assert [*result.state_dict()] == [*model.state_dict()]
    runs, depth = counted(result), adapter_for(result).depth(result)
    for training in (False, True):
        runs.clear()
        outputs(result.train(training), name)
        assert len(runs) == len(set(runs)) == depth
    assert not all(torch.equal(tensor, result.state_dict()[key]) for key, tensor in model.state_dict().items())


def test_rate_zero_trains_as_without_and_a_rate_trains_otherwise(make_lab, tiny_bert, state_of):
    from bench.methods.prune.prune import Prune

    lab = make_lab()
    plain = state_of(Prune(sparsity=0.0, budget=1.0).compress(tiny_bert(), lab))
    none, some = (state_of(LayerDrop(rate=rate).compress(tiny_bert(), lab)) for rate in (0.0, 0.5))
    assert all(torch.equal(tensor, none[key]) for key, tensor in plain.items())
    assert not all(torch.equal(tensor, some[key]) for key, tensor in plain.items())


def test_layers_can_be_taken_out_afterwards(make_lab, tiny_bert, logits_of):
    lab = make_lab()
    trained = LayerDrop().compress(tiny_bert(), lab)
    small = Shrink(depth=2).compress(trained, lab)
    adapter = adapter_for(trained)
    adapter.set_layers(trained, [adapter.layers(trained)[number] for number in (1, 3)])
    torch.testing.assert_close(logits_of(small), logits_of(trained))


def test_a_layer_shared_by_all_places_is_left_out_place_by_place(make_lab, tiny_bert):
    lab = make_lab()
    shared = Share().compress(tiny_bert(), lab)
    trained = LayerDrop(rate=0.5).compress(shared, lab)
    layers = adapter_for(trained).layers(trained)
    assert len(layers) == 4
    assert all(layer is layers[0] for layer in layers)


@pytest.mark.parametrize("name", ["albert", "bench-lstm-lm", "bench-lstm-seq2seq", "bench-bilstm"])
def test_models_whose_layers_cannot_be_skipped_are_refused(make_lab, name):
    with pytest.raises(MethodError, match="cannot skip layers"):
        LayerDrop().compress(made(name), lab_of(name, make_lab))


def test_a_halting_model_is_refused(make_lab, tiny_bert):
    lab = make_lab()
    halting = Halt().compress(tiny_bert(), lab)
    with pytest.raises(MethodError, match="already halt"):
        LayerDrop().compress(halting, lab)
