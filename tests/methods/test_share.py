from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.methods.share.share import Share, share_map
from bench.models.adapter import adapter_for


@pytest.mark.parametrize(
    ("name", "unique", "depth", "expected"),
    [
        ("all", 1, 4, "0000"),
        ("sequence", 3, 6, "001122"),
        ("cycle", 3, 6, "012012"),
        ("cycle-rev", 3, 6, "012210"),
        ("cycle-rev", 3, 9, "012012210"),
        ("sequence", 2, 5, "00011"),
        ("sequence", 1, 3, "000"),
        ("sandwich", 1, 5, "01112"),
        ("none", 1, 4, "0123"),
    ],
)
def test_the_maps_are_those_of_the_papers(name, unique, depth, expected):
    assert "".join(map(str, share_map(name, depth=depth, unique=unique))) == expected


@pytest.mark.parametrize("name", ["sequence", "cycle", "cycle-rev"])
def test_every_stored_layer_is_used(name):
    for depth in range(1, 13):
        for unique in range(1, depth + 1):
            places = share_map(name, depth=depth, unique=unique)
            assert len(places) == depth
            assert set(places) == set(range(unique))


def encoder_parameters(model):
    return sum(parameter.numel() for parameter in model.bert.encoder.parameters())


def test_stored_encoder_parameters_do_not_depend_on_the_depth(make_lab, tiny_bert):
    sizes = [encoder_parameters(Share(budget=0).compress(tiny_bert(layers=depth), make_lab())) for depth in (1, 2, 6)]
    assert sizes[0] == sizes[1] == sizes[2] == encoder_parameters(tiny_bert(layers=1))


@pytest.mark.parametrize("places", [("cycle", 2), ("sequence", 2), ("cycle-rev", 3)])
def test_stored_layers_are_as_many_as_asked_and_run_where_the_map_says(make_lab, tiny_bert, places):
    name, unique = places
    shared = Share(map=name, unique=unique).compress(tiny_bert(), make_lab())
    layers = adapter_for(shared).layers(shared)
    order = share_map(name, depth=4, unique=unique)
    assert len({id(layer) for layer in layers}) == unique
    assert [layers.index(layer) for layer in layers] == [order.index(place) for place in order]
    assert encoder_parameters(shared) == unique * encoder_parameters(tiny_bert(layers=1))


def test_sharing_starts_from_the_first_layer_or_the_mean(make_lab, tiny_bert):
    model = tiny_bert()
    name = "attention.self.value.weight"
    weights = [layer.state_dict()[name] for layer in adapter_for(model).layers(model)]
    first = Share(map="cycle", unique=2, budget=0).compress(model, make_lab())
    mean = Share(map="cycle", unique=2, init="mean", budget=0).compress(model, make_lab())
    stored_first, stored_mean = (adapter_for(one).layers(one)[1].state_dict()[name] for one in (first, mean))
    assert torch.equal(stored_first, weights[1])
    torch.testing.assert_close(stored_mean, (weights[1] + weights[3]) / 2)


def test_storing_every_layer_changes_nothing(make_lab, tiny_bert, logits_of):
    model = tiny_bert()
    shared = Share(map="cycle", unique=4, budget=0).compress(model, make_lab())
    assert torch.equal(logits_of(shared), logits_of(model))


def test_the_shared_gradient_is_the_sum_of_the_untied_copies_gradients(make_lab, tiny_bert):
    shared = Share(budget=0).compress(tiny_bert(), make_lab())
    untied = copy.deepcopy(shared)
    adapter = adapter_for(untied)
    adapter.set_layers(untied, [copy.deepcopy(layer) for layer in adapter.layers(untied)])
    ids = torch.tensor([[2, 5, 9, 12, 3], [2, 8, 7, 6, 3]])
    for model in (shared, untied):
        outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        torch.nn.functional.cross_entropy(outputs.logits, torch.tensor([0, 1])).backward()
    single = dict(adapter.layers(shared)[0].named_parameters())
    copies = [dict(layer.named_parameters()) for layer in adapter.layers(untied)]
    assert len({id(parameters["output.dense.weight"]) for parameters in copies}) == 4
    for name, parameter in single.items():
        total = torch.stack([parameters[name].grad for parameters in copies]).sum(dim=0)
        torch.testing.assert_close(parameter.grad, total, rtol=1e-4, atol=1e-7)


def test_tuning_keeps_the_layers_shared(make_lab, tiny_bert):
    shared = Share(budget=1).compress(tiny_bert(), make_lab())
    assert len({id(layer) for layer in adapter_for(shared).layers(shared)}) == 1


def test_all_stores_one_layer_only():
    with pytest.raises(ValidationError, match="map 'all' stores one layer"):
        Share(map="all", unique=2)


def test_more_stored_layers_than_positions_are_refused(make_lab, tiny_bert):
    with pytest.raises(MethodError, match="unique is 5, but the given model has 4 layers"):
        Share(map="cycle", unique=5).compress(tiny_bert(), make_lab())


def test_the_mean_of_quantized_layers_is_refused(make_lab, tiny_bert):
    from bench.methods.quantize.quantize import Quantize

    lab = make_lab()
    quantized = Quantize().compress(tiny_bert(), lab)
    with pytest.raises(MethodError, match="Share before quantizing"):
        Share(init="mean").compress(quantized, lab)
