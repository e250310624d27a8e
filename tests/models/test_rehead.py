"""A new head on what another head was trained on: every weight below it stays, bit for bit."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES, make, same_outputs, state

from bench.base.errors import ModelError
from bench.models.adapter import adapter_for
from bench.models.rehead import with_head_of

MASKED = "masked-language-modelling"


def below(model, state):
    prefix = f"{model.base_model_prefix}."
    return {name: tensor for name, tensor in state.items() if name.startswith(prefix) and ".pooler." not in name}


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_below_the_head_stays_and_the_head_is_fresh(family):
    task = make(family, labels=3)
    task.config.id2label = {0: "a", 1: "b", 2: "c"}
    trained = state(make(family, MASKED, seed=5))
    one, again, other = (with_head_of(make(family, MASKED, seed=5), task, seed=seed) for seed in (1, 1, 2))
    kept = below(one, state(one))
    assert type(one) is type(task)
    assert kept.keys() == below(one, trained).keys()
    assert all(torch.equal(tensor, trained[name]) for name, tensor in kept.items())
    assert one.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert same_outputs(one, again)
    assert not same_outputs(one, other)
    assert not one.training


def test_a_narrower_and_shallower_model_keeps_its_form():
    small = make("bert", MASKED, num_hidden_layers=2, hidden_size=16, intermediate_size=24)
    made = with_head_of(small, make("bert"), seed=0)
    adapter = adapter_for(made)
    assert (adapter.depth(made), adapter.hidden_size(made)) == (2, 16)
    assert made.classifier.in_features == 16


def test_layers_that_are_shared_stay_shared():
    model = make("bert", MASKED)
    adapter = adapter_for(model)
    first = adapter.layers(model)[0]
    adapter.set_layers(model, [first, first])
    made = with_head_of(model, make("bert"), seed=0)
    one, two = adapter.layers(made)
    assert one is two


def test_an_architecture_without_the_head_is_refused():
    from architectures import make_model

    with pytest.raises(ModelError, match="has no masked-language-modelling head"):
        with_head_of(make_model("bench-bilstm"), make("bert", MASKED), seed=0)
