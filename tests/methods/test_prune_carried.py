"""Weights that are pruned on one task and trained on another: what comes over, what stays, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from families import ENCODERS, make, state
from made_pruning import prune
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.methods.prune.prune import Prune
from bench.methods.prune.run import Pruning
from bench.methods.prune.schedules import carry
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of

CARRIED = {
    "schedule": "gradual",
    "start": "source",
    "sparsity": 0.5,
    "scope": "layer",
    "schedule__weights_from": "others",
}


def zeros(model):
    return {name: module.weight == 0 for name, module in adapter_for(model).linears(model).items()}


@pytest.fixture
def begins(monkeypatch):
    """Every tensor that each training begins with; the trainings themselves still happen."""
    seen, train = [], Pruning.train

    def watched(self, share, **more):
        seen.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        train(self, share, **more)

    monkeypatch.setattr(Pruning, "train", watched)
    return seen


@pytest.fixture
def lab(tiny_bert, two_tasks):
    return dataclasses.replace(two_tasks(), reference=tiny_bert())


def test_what_was_pruned_elsewhere_comes_over_without_its_head(lab, tiny_bert, begins):
    pruned = prune(**CARRIED).compress(lab.reference, lab)
    other = lab.elsewhere("others")
    found = prune(**{**CARRIED, "schedule__weights_from": None}).compress(other.reference, other).state_dict()
    here, own = begins[1], lab.fresh(4, True).state_dict()
    assert {name for name in here if not torch.equal(here[name], own[name])} <= {
        name for name in here if name.startswith("bert.")
    }
    assert all(torch.equal(tensor, found[name]) for name, tensor in here.items() if name.startswith("bert."))
    assert any(not torch.equal(tensor, own[name]) for name, tensor in here.items())
    assert pruned.config.num_labels == lab.reference.config.num_labels != other.reference.config.num_labels


def test_the_masks_of_the_other_task_stay_while_this_one_is_learned(lab):
    other = lab.elsewhere("others")
    found = zeros(prune(**{**CARRIED, "schedule__weights_from": None}).compress(other.reference, other))
    untrained = prune(**CARRIED, schedule__afterwards=0.0).compress(lab.reference, lab)
    trained = prune(**CARRIED, schedule__afterwards=2.0).compress(lab.reference, lab)
    assert all(torch.equal(mask, zeros(trained)[name]) for name, mask in found.items())
    assert all(mask.float().mean() == pytest.approx(0.5, abs=1e-3) for mask in found.values())
    one, two = untrained.state_dict(), trained.state_dict()
    assert not any(torch.equal(one[name], two[name]) for name in one if name.endswith("query.weight"))


def test_with_learned_scores_as_well(lab, begins):
    pruned = prune(**{**CARRIED, "saliency": "movement"}).compress(lab.reference, lab)
    assert len(begins) == 2
    assert sum(mask.sum() for mask in zeros(pruned).values()) == sum(
        (begins[1][f"{name}.weight"] == 0).sum() for name in zeros(pruned)
    )
    assert torch.cat([mask.flatten() for mask in zeros(pruned).values()]).float().mean() == pytest.approx(0.5, abs=0.01)


def test_frozen_embeddings_are_frozen_on_both_tasks(lab):
    kept = prune(**CARRIED, freeze_embeddings=True).compress(lab.reference, lab)
    start = adapter_for(kept).word_embedding(lab.fresh(4, True)).weight
    assert torch.equal(adapter_for(kept).word_embedding(kept).weight, start)
    moved = prune(**CARRIED).compress(lab.reference, lab)
    assert not torch.equal(adapter_for(moved).word_embedding(moved).weight, start)
    assert adapter_for(kept).word_embedding(kept).weight.requires_grad


def test_a_task_with_another_encoder_is_refused_before_anything_is_trained(tiny_bert, two_tasks, begins):
    shallow = dataclasses.replace(two_tasks(kind_of_other="shallow"), reference=tiny_bert())
    with pytest.raises(
        MethodError, match=r"masks and weights of 'others' cannot be used: .* they differ in .*layer\.2"
    ):
        prune(**CARRIED).compress(shallow.reference, shallow)
    assert not begins


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"start": "given"}, "weights_from trains from the start"),
        ({"terms": {"labels": 0.5, "logits": 0.5}}, "cannot be combined with terms that need a teacher"),
        ({"delta": True}, "or with delta"),
        (
            {"schedule__weights_from": None, "schedule__afterwards": 2.0},
            "afterwards needs weights_from",
        ),
        ({"schedule": "rounds"}, "weights_from"),
    ],
)
def test_weights_from_is_refused_where_it_makes_no_sense(changes, says):
    with pytest.raises(ValidationError, match=says):
        prune(**{**CARRIED, **changes})


def test_the_recipe_names_its_other_task():
    (method,) = methods_of(load_recipe("gordon", {"schedule.weights_from": "captions-mlm"}))
    assert method.tasks() == ("captions-mlm",)
    (plain,) = methods_of(load_recipe("gordon"))
    assert plain.tasks() == ()
    assert plain.stated()["schedule"] == "gradual"


@pytest.mark.parametrize("family", ENCODERS)
def test_every_architecture_gives_its_layers_from_masked_language_modelling_to_a_classifier(family, make_lab):
    models = make(family, "masked-language-modelling", seed=1), make(family, seed=2)
    method = Prune(schedule="gradual", start="source", sparsity=0.5, scope="layer")
    finder, pruning = (Pruning(model, method, make_lab(model)) for model in models)
    before = state(models[1])
    finder.cut(0.5)
    carry(finder, pruning)
    found, after = state(models[0]), state(models[1])
    below = f"{models[1].base_model_prefix}."
    for name, tensor in after.items():
        source = found if name.startswith(below) and name in found else before
        assert torch.equal(tensor, source[name])
    layers = {f"{name}.weight" for name in adapter_for(models[1]).linears(models[1])}
    embedding = {name for name in after if "word_embeddings" in name}
    assert layers | embedding <= {name for name in after if torch.equal(after[name], found.get(name, before[name]))}
    assert layers | embedding <= found.keys()
    assert all((after[name] == 0).float().mean() == pytest.approx(0.5, abs=1e-3) for name in layers)
