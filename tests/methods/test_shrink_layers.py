"""Leaving layers out: a model of fewer layers is the given one running only these."""

from __future__ import annotations

import pytest
import torch
from architectures import make_model, run
from made_masks import distance, made, masked, outputs, parameters
from pydantic import ValidationError

from bench.artifacts import artifact
from bench.base.errors import MethodError
from bench.methods.shrink.shrink import Shrink, every_other
from bench.models.adapter import adapter_for


@pytest.fixture
def shrink(make_lab):
    return lambda model, **arguments: Shrink(**arguments).compress(model, make_lab(model))


def passing(model, stack, left_out):
    """`model` with layers of a stack that give their input on, in place."""
    for number in left_out:
        adapter_for(model).layers(model, stack)[number].forward = lambda hidden, *others, **more: hidden
    return model


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "electra"])
@pytest.mark.parametrize(("arguments", "left_out"), [({"layers": "0+3"}, (1, 2)), ({"depth": 2}, (0, 2))])
def test_it_is_the_given_model_running_only_the_layers_that_stay(
    name, arguments, left_out, shrink, tokenizer, tmp_path
):
    small = shrink(made(name), **arguments)
    assert adapter_for(small).depth(small) == 2
    assert distance(small, passing(made(name), "encoder", left_out), name) == 0
    artifact.save(small, tmp_path / "small", tokenizer=tokenizer)
    assert distance(artifact.load(tmp_path / "small").model, small, name) == 0


@pytest.mark.parametrize("name", ["marian", "encoder-decoder"])
def test_a_decoder_without_its_first_layer_writes_the_same_with_and_without_a_cache(name, shrink, tokenizer, tmp_path):
    small = shrink(made(name), layers=(1,), stacks="decoder")
    layers = adapter_for(made(name)).depth(made(name), "decoder")
    oracle = passing(made(name), "decoder", [number for number in range(layers) if number != 1])
    assert distance(small, oracle, name) == 0
    assert adapter_for(small).depth(small, "encoder") == 2
    artifact.save(small, tmp_path / "small", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "small").model
    options = {"input_ids": torch.arange(5, 12)[None], "max_new_tokens": 6, "do_sample": False, "num_beams": 2}
    written = [one.generate(**options, use_cache=use) for one in (small, loaded) for use in (True, False)]
    assert all(torch.equal(written[0], other) for other in written)


def test_a_shared_layer_runs_fewer_times_and_stays_stored_once(shrink):
    small = shrink(made("albert"), depth=3)
    assert parameters(small) == parameters(made("albert"))
    assert all(
        torch.equal(*pair)
        for pair in zip(outputs(small, "albert"), outputs(made("albert", num_hidden_layers=3), "albert"), strict=True)
    )


def test_heads_and_neurons_go_from_the_layers_that_stay(shrink):
    model = masked(made("bert"))
    small = shrink(model, layers=(0, 2))
    assert distance(small, passing(masked(made("bert")), "encoder", (1, 3)), "bert") < 1e-5
    whole = shrink(made("bert"), layers=(0, 2))
    assert parameters(whole) - parameters(small) == 2 * (4 * 32 * 8 + 3 * 8) + 45 * (2 * 32 + 1)


def test_an_lstm_may_lose_layers(shrink):
    small = shrink(make_model("bench-lstm-lm"), layers=(1,))
    assert adapter_for(small).depth(small) == 1
    assert not torch.allclose(run(small, "bench-lstm-lm")[0], run(make_model("bench-lstm-lm"), "bench-lstm-lm")[0])


def test_every_other_is_layerdrops_rule_where_that_gives_the_depth():
    for layers in range(1, 25):
        for gone in range(1, layers):
            kept = every_other(layers, layers - gone)
            assert len(kept) == layers - gone
            assert kept == sorted(set(kept) & set(range(layers)))
            if layers % gone == 0:
                assert kept == [number for number in range(layers) if number % (layers // gone)]


@pytest.mark.parametrize(
    ("layers", "depth", "kept"),
    [(12, 6, [1, 3, 5, 7, 9, 11]), (12, 3, [3, 7, 11]), (6, 4, [1, 2, 4, 5]), (4, 4, [0, 1, 2, 3])],
)
def test_the_layers_that_stay_end_with_the_last(layers, depth, kept):
    assert every_other(layers, depth) == kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 5}, "depth is 5, but the encoder of the given model has 4 layers"),
        ({"layers": (1, 4)}, "layers contains 4, but the encoder of the given model has layers 0 to 3"),
        ({"depth": 2, "stacks": ("decoder",)}, "has no decoder; it has encoder"),
    ],
)
def test_layers_that_the_model_lacks_are_refused(arguments, message, shrink):
    with pytest.raises(MethodError, match=message):
        shrink(made("bert"), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 2, "layers": (0,)}, "not both"),
        ({"layers": (2, 1)}, "in the order of execution"),
        ({"layers": (1, 1)}, "each layer once"),
        ({"stacks": ("encoder",)}, "stacks needs layers or depth"),
        ({"layers": (-1,)}, "greater than or equal to 0"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(arguments, message):
    with pytest.raises(ValidationError, match=message):
        Shrink(**arguments)
