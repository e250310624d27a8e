"""Shrinking after and before other stages: shared layers, factors, replaced attention, and models it cannot shrink."""

from __future__ import annotations

import pytest
import torch
from architectures import make_model
from made_masks import DEAD, FFN, HEADS, WIDTH, distance, made, masked, matrices, parameters

from bench.artifacts import artifact
from bench.base.errors import MethodError
from bench.layers.block_term_attention import BlockTermAttention
from bench.layers.factorized import FactorizedLinear
from bench.measures.computation.trace import trace
from bench.methods.base.method import ROLES
from bench.methods.exit.halt import Halt
from bench.methods.factorize.factorize import Factorize
from bench.methods.share.share import Share
from bench.methods.shrink.shrink import Shrink
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module

CLOSE = 1e-5
TWO = {key: units for key, units in DEAD.items() if key[0] == 0}


@pytest.fixture
def shrink(make_lab):
    return lambda model, **arguments: Shrink(**arguments).compress(model, make_lab(model))


def factorized(model, rank=20):
    for name, linear in adapter_for(model).linears(model).items():
        left, values, right = torch.linalg.svd(linear.weight.detach(), full_matrices=False)
        product = FactorizedLinear.from_factors(values[:rank, None] * right[:rank], left[:, :rank], linear.bias)
        replace_module(model, name, product)
    return model


def shared(model, make_lab, **arguments):
    return Share(budget=0, **arguments).compress(model, make_lab(model))


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("bert", {}),
        ("distilbert", {"map": "cycle", "unique": 2}),
        ("bert", {"parts": ("attention",)}),
        ("marian", {"parts": ("ffn",)}),
        ("marian", {"tie_cross": "self"}),
        ("encoder-decoder", {"tie_stacks": True}),
    ],
)
def test_what_was_shared_stays_shared_and_is_shrunk_once(name, how, emptied, shrink, make_lab, tokenizer, tmp_path):
    if how.get("tie_cross"):
        how = {**how, "map": "none"}
    model = shared(made(name), make_lab, **how)
    masked(model, {(layer, part): range(HEADS) for layer in (0, 1) for part in ("attention",)} if emptied else TWO)
    small = shrink(model)
    assert distance(small, model, name) < CLOSE
    assert parameters(small) < parameters(model)
    before, after = (set(_uses(one)) for one in (model, small))
    assert after
    assert after <= before
    artifact.save(small, tmp_path / "small", tokenizer=tokenizer)
    again = artifact.load(tmp_path / "small").model
    assert distance(again, small, name) == 0
    assert parameters(again) == parameters(small)


def _uses(model):
    """Pairs of names of one module."""
    first = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if module._parameters:
            other = first.setdefault(id(module), name)
            if other != name:
                yield other, name


def test_matrices_that_share_only_some_of_their_weights_are_refused(shrink):
    model = masked(made("bert"), TWO)
    found = matrices(model)
    found["encoder", 0, "key"].weight = found["encoder", 3, "key"].weight
    with pytest.raises(MethodError, match=r"encoder\.layer\.0 attention shares some of its weights"):
        shrink(model)


@pytest.mark.parametrize("name", ["bert", "albert", "marian"])
def test_factorized_layers_lose_rows_and_columns_of_their_factors(name, shrink, tokenizer, tmp_path):
    model = factorized(made(name))
    with torch.no_grad():
        for (_, _, role), layer in matrices(model).items():
            if role in ("value", "cross_value"):
                layer.second[8:16] = 0
                layer.bias[8:16] = 0
            elif role in ("attention_output", "cross_output"):
                layer.first[:, 24:] = 0
            elif role == "ffn_in":
                layer.second[10:30] = 0
            elif role == "ffn_out":
                layer.first[:, 30:40] = 0
                layer.first[0] = 0
    small = shrink(model)
    assert distance(small, model, name) < CLOSE
    layers = {role: layer for (_, _, role), layer in matrices(small).items()}
    assert {role: (layer.in_features, layer.out_features) for role, layer in layers.items() if "cross" not in role} == {
        "query": (WIDTH, 16),
        "key": (WIDTH, 16),
        "value": (WIDTH, 16),
        "attention_output": (16, WIDTH),
        "ffn_in": (WIDTH, FFN - 30),
        "ffn_out": (FFN - 30, WIDTH),
    }
    assert layers["ffn_out"].rank == 19
    assert all(type(layer) is FactorizedLinear for layer in layers.values())
    artifact.save(small, tmp_path / "small", tokenizer=tokenizer)
    assert distance(artifact.load(tmp_path / "small").model, small, name) == 0


def test_an_attention_of_another_form_has_no_heads_and_its_mlp_is_shrunk(shrink, make_lab):
    model = made("distilbert")
    method = Factorize(solver={"name": "block-term", "length": 9}, rank=4, budget=0, targets=ROLES[:4])
    replaced = method.compress(model, make_lab(model))
    small = shrink(masked(replaced, {(0, "ffn"): range(10, 20)}))
    assert sum(isinstance(module, BlockTermAttention) for module in small.modules()) == 4
    assert parameters(replaced) - parameters(small) == 10 * (2 * WIDTH + 1)
    assert distance(small, replaced, "distilbert") < CLOSE


def test_a_halting_encoder_is_shrunk_inside_and_keeps_its_layers(shrink, make_lab):
    model = made("bert")
    halting = masked(Halt(budget=0).compress(model, make_lab(model)), TWO)
    small = shrink(halting)
    assert parameters(small) < parameters(halting)
    assert distance(small, halting, "bert") < CLOSE
    with pytest.raises(MethodError, match="cannot be replaced"):
        shrink(halting, depth=2)


def test_unstructured_zeros_leave_the_model_bit_equal_and_it_says_so(make_lab):
    model = made("bert")
    with torch.no_grad():
        for linear in adapter_for(model).linears(model).values():
            linear.weight[::2, 1::2] = 0
            linear.weight[1::2, ::2] = 0
    lab, said = make_lab(model), []
    object.__setattr__(lab, "progress", lambda text, share: said.append(text))
    small = Shrink().compress(model, lab)
    assert said == ["removed nothing (no unit is fully masked)"]
    assert all(
        torch.equal(*pair) for pair in zip(small.state_dict().values(), model.state_dict().values(), strict=True)
    )


def test_an_encoder_that_was_shrunk_still_trains(shrink, make_lab):
    model = masked(made("albert", labels=2, vocab_size=100), {(0, "attention"): range(HEADS), (0, "ffn"): range(FFN)})
    small = shrink(model)
    before = {key: parameter.clone() for key, parameter in small.named_parameters()}
    make_lab(small, epochs=0.5).train(small)
    assert torch.isfinite(next(small.parameters())).all()
    name = "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.dense.bias"
    assert not torch.equal(small.get_parameter(name), before[name])


@pytest.mark.parametrize("name", ["bench-lstm-lm", "bench-bilstm", "bench-lstm-seq2seq"])
def test_an_lstm_has_no_units_to_remove_and_that_is_said(name, shrink):
    with pytest.raises(MethodError, match="neither attention heads nor MLP neurons"):
        shrink(make_model(name))


def test_macs_of_the_rest_of_the_model_stay(shrink):
    model = masked(made("bert"))
    ids = torch.full((1, 9), 7)
    before, after = (trace(one, {"input_ids": ids}).by_module(3) for one in (model, shrink(model)))
    for layer in (2, 3):
        path = f"bert.encoder.layer.{layer}"
        assert before[path] == after[path]
