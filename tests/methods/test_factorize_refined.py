"""The second stage: training towards the hidden states of the uncut model, and how many models are there at once."""

from __future__ import annotations

import gc

import pytest
import torch
from made_terms import guided
from models_for_factors import language_model, lively, translator
from pydantic import ValidationError

from bench.methods.base.trained import frozen_reference
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of
from bench.spec.recipe import RECIPES_DIR
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS

STATES = {"states": {"what": {"name": "states", "outputs": True}}}
RECIPES = sorted(path.stem for path in (RECIPES_DIR / "low-rank").glob("*.toml"))


def error(student, teacher, lab):
    batch = collate(lab.features[:16], pad_id=0)
    with torch.no_grad():
        return guided(STATES, teacher).loss(student, batch, None, KINDS.get("classification")).item()


def test_training_towards_hidden_states_lowers_their_error_and_needs_no_labels(make_lab, tiny_bert):
    reference = lively(tiny_bert(seed=3))
    lab = make_lab(reference, epochs=6.0)
    cut, tuned = (Factorize(rank=6, terms=STATES, budget=budget).compress(reference, lab) for budget in (0, 1))
    assert error(tuned, reference, lab) < 0.8 * error(cut, reference, lab)


def test_the_recipe_trains_towards_states_and_logits_with_equal_weights_and_no_labels():
    (method,) = methods_of(load_recipe("noach-goldberg"))
    assert method.terms == Factorize(rank=6, terms=STATES).terms


def test_terms_without_any_weight_are_refused():
    with pytest.raises(ValidationError, match="every term has weight 0"):
        Factorize(rank=6, terms={"states": 0.0})


def test_the_reference_is_its_own_frozen_copy_unless_it_is_training(make_lab, tiny_bert):
    lab = make_lab()
    assert frozen_reference(lab) is lab.reference
    lab.reference.classifier.train()
    assert frozen_reference(lab) is not lab.reference
    assert lab.reference.classifier.training


def test_rank_245_takes_40_percent_off_bert_base():
    """Noach & Goldberg 2020's factor 0.4, and what is left of the encoder's matrices."""
    from transformers import BertConfig, BertModel

    with torch.device("meta"):
        model = BertModel(BertConfig())
    linears = adapter_for(model).linears(model).values()
    dense = sum(linear.weight.numel() for linear in linears)
    factors = sum(245 * sum(linear.weight.shape) for linear in linears)
    assert factors / dense == pytest.approx(0.4785, abs=1e-4)
    assert (dense - factors) / sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(
        0.4, abs=0.01
    )
    assert round(0.319 * 768) == 245


def models_of(kind):
    gc.collect()
    return sum(type(each) is kind for each in gc.get_objects())


@pytest.mark.parametrize("name", [*RECIPES, "low-rank-int8"])
def test_no_recipe_holds_more_than_three_models_at_once(name, make_lab, tiny_bert):
    """Counted where training starts and where the stages end: the reference and the given model among them."""
    methods = [_fitting(method) for method in methods_of(load_recipe(name))]
    model, lab = _model_for(name, make_lab, tiny_bert)
    kind, before, counts = type(model), models_of(type(model)) - 1, []
    object.__setattr__(lab, "train", lambda model, **others: counts.append(models_of(kind) - before))
    for method in methods:
        model = method.compress(model, lab)
        counts.append(models_of(kind) - before)
    assert 2 <= max(counts) <= 3


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipes_result_is_smaller_and_runs(name, make_lab, tiny_bert):
    (method,) = [_fitting(method) for method in methods_of(load_recipe(name))]
    model, lab = _model_for(name, make_lab, tiny_bert)
    object.__setattr__(lab, "train", lambda *args, **others: None)
    smaller = method.compress(model, lab)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    inputs = {"input_ids": torch.tensor([[2, 5, 9, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    inputs |= {"decoder_input_ids": torch.tensor([[2, 6]])} if name == "safe-embedding" else {}
    with torch.inference_mode():
        assert torch.isfinite(smaller(**inputs).logits).all()


def _model_for(name, make_lab, tiny_bert):
    """A tiny model that has the recipe's targets, and a lab whose reference and fresh models are of its kind."""
    makers = {"safe-embedding": lambda: translator(entries=600)}
    makers |= dict.fromkeys(("low-rank-softmax", "lstm-low-rank", "winata-svd", "winata-semi-nmf"), language_model)
    model = makers.get(name, tiny_bert)()
    lab = make_lab(model)
    if name in makers:
        object.__setattr__(lab, "fresh", lambda depth, pretrained: makers[name]())
    return model, lab


def _fitting(method):
    """The method with what the size of a tiny model needs: short inputs, a narrow table, a loss that may rise."""
    if isinstance(method, Quantize):
        return method
    short = {"solver": {"name": "block-term", "length": 8}}
    changes = {"block-term": short, "self-attentive": {"ratio": 0.25}, "drone": {"loss": 5.0}}
    return type(method)(**{**method.stated(), **changes.get(method.solver.called, {})})
