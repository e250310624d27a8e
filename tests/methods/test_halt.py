"""Adaptive halting as a method: what is trained, stored, counted and refused (row W4)."""

from __future__ import annotations

import pytest
import torch
from families import make, outputs, same_outputs
from made_seq2seq import made_marian
from torch import nn

from bench.artifacts.artifact import load, save
from bench.artifacts.manifest import Manifest
from bench.base.errors import MethodError, TrainingError
from bench.layers.halting import HaltingStack, coordinates
from bench.measures.computation.depth import dynamic_depth
from bench.measures.computation.executions import executions
from bench.measures.computation.trace import trace
from bench.measures.storage.parameters import elements, stored_parameters
from bench.methods.distill.distill import Distill
from bench.methods.exit.halt import Halt
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.quantize import Quantize
from bench.methods.replace.replace import Replace
from bench.methods.share.share import Share
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of
from bench.training.hooks import PonderTerm

IDS = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3]])
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
LOOPING = ("bert", "roberta", "distilbert", "electra")


@pytest.fixture
def universal(make_lab):
    """A Universal Transformer from an encoder of one shared layer, untrained."""

    def build(model=None, **arguments):
        lab = make_lab()
        shared = Share(budget=0).compress(make("bert") if model is None else model, lab)
        return Halt(**{"budget": 0, **arguments}).compress(shared, lab)

    return build


def parameters(model):
    return elements(stored_parameters(model))


def stack_of(model):
    (stack,) = (module for module in model.modules() if isinstance(module, HaltingStack))
    return stack


def spread(model):
    """The model with halting probabilities that differ between positions."""
    with torch.no_grad():
        stack_of(model).weight.copy_(torch.randn(1, 32, generator=torch.Generator().manual_seed(0)))
        stack_of(model).bias.fill_(-1.0)
    return model


def test_parameters_are_those_of_one_layer_and_a_halting_unit_whatever_the_number_of_steps(universal):
    one = Share(budget=0)
    sizes = {steps: parameters(universal(steps=steps)) for steps in (1, 4, 12)}
    assert len(set(sizes.values())) == 1
    assert one.map == "all"
    assert sizes[1] == parameters(make("bert", num_hidden_layers=1)) + 32 + 1
    assert adapter_for(universal(steps=12)).depth(universal(steps=12)) == 12


def test_one_step_without_halting_or_coordinates_is_one_shared_layer(universal, make_lab):
    plain = universal(steps=1, adaptive=False, coordinates=False)
    shared = Share(budget=0).compress(make("bert"), make_lab())
    adapter_for(shared).set_layers(shared, adapter_for(shared).layers(shared)[:1])
    assert same_outputs(plain, shared)
    assert "halting" in repr(plain).lower()


def test_steps_without_halting_or_coordinates_are_as_many_shared_layers(universal, make_lab):
    plain = universal(adaptive=False, coordinates=False)
    assert same_outputs(plain, Share(budget=0).compress(make("bert"), make_lab()))
    assert trace(plain, INPUTS).macs == trace(make("bert"), INPUTS).macs


def test_the_first_layer_sees_the_coordinates(universal):
    model = universal(steps=1, adaptive=False)
    seen = []
    layer = adapter_for(model).layers(model)[0]
    layer.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    bare = universal(steps=1, adaptive=False, coordinates=False)
    adapter_for(bare).layers(bare)[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.no_grad():
        model(**INPUTS)
        bare(**INPUTS)
    torch.testing.assert_close(seen[0], seen[1] + coordinates(9, 0, 32))


@pytest.mark.parametrize("family", LOOPING)
def test_every_looping_encoder_halts_and_its_weights_sum_to_one(universal, family):
    model = spread(universal(make(family)))
    assert all(torch.isfinite(tensor).all() for tensor in outputs(model))
    real = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    torch.testing.assert_close(stack_of(model).weights.sum(-1), real.float())
    steps = dynamic_depth(model).executed_layers()
    assert steps.shape == (2,)
    assert 1 <= int(steps.min()) <= int(steps.max()) <= 4


def test_a_row_runs_as_many_steps_alone_as_beside_another(universal):
    model = spread(universal(make("bert"), steps=8))
    outputs(model)
    together = dynamic_depth(model).executed_layers().tolist()
    ids = torch.tensor([[2, 5, 6, 7, 8, 9, 10, 11, 3], [2, 12, 13, 14, 3, 0, 0, 0, 0]])
    alone = []
    for row in ids:
        with torch.no_grad():
            model(input_ids=row[None], attention_mask=(row != 0).long()[None])
        alone += dynamic_depth(model).executed_layers().tolist()
    assert alone == together


def test_multiply_adds_are_the_mean_over_real_depths(universal):
    model = universal(steps=6)
    found = executions(model, INPUTS, {2: 3, 5: 1})
    single = {}
    for layers in (2, 5):
        with stack_of(model).leaving_after(layers):
            single[layers] = trace(model, INPUTS).macs
    assert found.mean(lambda ledger: ledger.macs) == (3 * single[2] + single[5]) / 4
    layer = 9 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 9 * 9 * 32
    assert single[5] - single[2] == 3 * (layer + 9 * 32)
    assert found.coverage == 1.0


def test_the_artifact_holds_one_layer_and_halts_as_before(universal, tokenizer, tmp_path):
    model = spread(universal(steps=7))
    before, depth = outputs(model), dynamic_depth(model).executed_layers().tolist()
    save(model, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="universal"))
    loaded = load(tmp_path / "artifact").model
    assert all(torch.equal(left, right) for left, right in zip(outputs(loaded), before, strict=True))
    assert dynamic_depth(loaded).executed_layers().tolist() == depth
    assert parameters(loaded) == parameters(model)
    assert len({id(layer) for layer in adapter_for(loaded).layers(loaded)}) == 1
    assert len(adapter_for(loaded).layers(loaded)) == 7


@pytest.mark.parametrize("method", [Quantize(), Factorize(rank=4, budget=0)])
def test_layers_can_be_compressed_further_after_halting(universal, make_lab, method, tokenizer, tmp_path):
    model = spread(universal())
    smaller = method.compress(model, make_lab())
    assert stack_of(smaller) is not stack_of(model)
    outputs(smaller)
    torch.testing.assert_close(stack_of(smaller).weights.sum(-1)[0], torch.ones(9))
    save(smaller, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="smaller"))
    loaded = load(tmp_path / "artifact").model
    assert same_outputs(loaded, smaller)
    assert len(adapter_for(loaded).linears(loaded)) == 6


def test_halting_works_over_layers_that_are_not_one(make_lab):
    model = Halt(budget=0).compress(make("bert"), make_lab())
    outputs(model)
    assert len({id(layer) for layer in adapter_for(model).layers(model)}) == 4
    assert parameters(model) == parameters(make("bert")) + 33


def test_the_ponder_cost_makes_training_halt_sooner(make_lab, tiny_bert):
    lab = make_lab(epochs=8.0)
    shared = Share(budget=0).compress(tiny_bert(), lab)
    depths = {}
    for ponder in (0.0, 5.0):
        model = Halt(ponder=ponder, bias=-1.0, learning_rate=0.01).compress(shared, lab)
        stack = stack_of(model)
        with torch.no_grad():
            model(**{name: tensor.clamp(max=20) for name, tensor in INPUTS.items()})
        depths[ponder] = float((stack.weights > 0).sum(-1).float().mean())
    assert depths[5.0] < depths[0.0]


def test_the_ponder_cost_is_added_to_the_terms(make_lab, tiny_bert):
    shared, weights = Share(budget=0).compress(tiny_bert(), make_lab()), []
    cases = ({}, {"terms": {"labels": 0.75, "logits": 0.25}, "ponder": 0.5}, {"adaptive": False}, {"ponder": 0})
    for arguments in cases:
        lab = make_lab()
        object.__setattr__(
            lab,
            "train",
            lambda model, *, objective, **others: weights.append(
                [(weight, type(term).__name__) for weight, term in objective.terms]
            ),
        )
        Halt(**arguments).compress(shared, lab)
    assert weights == [
        [(1.0, "TaskTerm"), (0.01, "PonderTerm")],
        [(1.0, "Guidance"), (0.5, "PonderTerm")],
        [(1.0, "TaskTerm")],
        [(1.0, "TaskTerm")],
    ]


def test_a_model_that_does_not_halt_has_no_ponder_cost():
    with pytest.raises(TrainingError, match="has no halting stack"):
        PonderTerm().loss(nn.Linear(2, 2), None, None, None)


@pytest.mark.parametrize("build", [lambda: make("albert"), lambda: made_marian()])
def test_architectures_that_cannot_halt_are_refused_with_a_reason(make_lab, build):
    with pytest.raises(MethodError, match="only an encoder that loops over a list of layers can"):
        Halt(budget=0).compress(build(), make_lab())


def test_orders_that_make_no_sense_are_refused(universal, make_lab):
    lab = make_lab()
    with pytest.raises(MethodError, match="already halt; halt once"):
        Halt(budget=0).compress(universal(), lab)
    with pytest.raises(MethodError, match="share all layers first"):
        Halt(budget=0, steps=6).compress(make("bert"), lab)
    for method in (Share(budget=0), Replace(), Distill(budget=0.1)):
        with pytest.raises(MethodError, match=r"Share, replace or remove layers first"):
            method.compress(universal(), make_lab(universal()))


def test_the_recipe_is_a_shared_layer_and_halting_with_the_published_settings():
    share, halt = methods_of(load_recipe("universal-transformer"))
    assert (share.map, share.parts, share.budget) == ("all", (), 0)
    assert (halt.adaptive, halt.coordinates, halt.epsilon, halt.ponder, halt.bias) == (True, True, 0.01, 0.01, 1.0)
