"""Pruning until quality falls: the stop rule, what judges it, and good, random and bad units of equal number."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from made_pruning import prune

from bench.base.errors import MethodError
from bench.methods.prune import until
from bench.methods.prune.prune import Prune
from bench.methods.prune.run import Pruning
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of

UNTIL = {"schedule": "until", "sparsity": 0.9}
STRUCTURED = {
    **UNTIL,
    "unit": "head+mlp",
    "scope": "class",
    "schedule__steps": "linear",
    "saliency": "gate-gradient",
    "saliency__examples": 2,
}


@pytest.fixture
def judged(monkeypatch):
    """A quality that is a given function of the share that is gone; what it was asked is kept."""

    def set_to(rule):
        asked = []

        def quality(pruning, examples):
            asked.append((pruning.sparsity, len(examples), len(pruning.lab.features)))
            return rule(pruning.sparsity)

        monkeypatch.setattr(until, "quality", quality)
        return asked

    return set_to


@pytest.fixture
def run(make_lab, tiny_bert):
    """The masks that stand after pruning, by site, and the model."""

    def run_all(rows=32, **arguments):
        model = tiny_bert()
        method = prune(**arguments)
        pruning = Pruning(tiny_bert(), method, make_lab(model, examples=rows))
        method.schedule.run(pruning)
        return pruning

    return run_all


def zeros(model):
    weights = torch.cat([module.weight.detach().flatten() for module in adapter_for(model).linears(model).values()])
    return (weights == 0).float().mean().item()


def test_the_last_masks_whose_quality_is_at_the_floor_or_above_are_kept(run, judged):
    asked = judged(lambda gone: 1.0 - 0.3 * gone)  # 0.9 of it is reached at a third
    pruning = run(**UNTIL)
    assert [round(gone, 3) for gone, *_ in asked] == [0, 0.1, 0.19, 0.271, 0.344]
    assert pruning.sparsity == pytest.approx(0.271, abs=1e-3)
    assert zeros(pruning.model) == pytest.approx(0.271, abs=1e-3)


@pytest.mark.parametrize(
    ("floor", "step", "steps", "kept"), [(0.5, 0.1, "linear", 0.8), (0.8, 0.25, "geometric", 0.25)]
)
def test_floor_and_step_are_arguments(run, judged, floor, step, steps, kept):
    judged(lambda gone: 1.0 - 0.6 * gone)
    pruning = run(**UNTIL, schedule__floor=floor, schedule__step=step, schedule__steps=steps)
    assert pruning.sparsity == pytest.approx(kept, abs=1e-3)


def test_quality_that_never_falls_ends_at_the_asked_sparsity_and_one_that_falls_at_once_prunes_nothing(run, judged):
    judged(lambda gone: 0.7)
    assert run(**UNTIL).sparsity == pytest.approx(0.9, abs=1e-4)
    judged(lambda gone: None if gone else 0.7)  # undefined counts as too low
    pruning = run(**UNTIL)
    assert pruning.sparsity == 0
    assert zeros(pruning.model) == 0


def test_held_out_examples_judge_and_are_neither_trained_on_nor_scored(run, judged, monkeypatch):
    asked = judged(lambda gone: 1.0 - gone)
    trained = []
    monkeypatch.setattr(
        Prune, "tune", lambda self, model, lab, **more: trained.append(sorted(row.example for row in lab.features))
    )
    run(rows=40, **UNTIL, start="source", schedule__rewind="start", schedule__hold_out=0.25)
    assert {(held, rest) for _, held, rest in asked} == {(10, 30)}
    before, after = trained
    assert len(before) == 30
    assert after == list(range(40))


def test_the_held_out_examples_depend_on_the_seed_alone(make_lab):
    first, again, other = (until.divided(make_lab(seed=seed), 0.25) for seed in (0, 0, 3))
    assert [example.uid for example in first[1]] == [example.uid for example in again[1]]
    assert [example.uid for example in first[1]] != [example.uid for example in other[1]]
    assert len({feature.example for feature in first[0].features} & {int(example.uid) for example in first[1]}) == 0


def test_quality_is_that_of_the_task_on_these_examples(make_lab, tiny_bert):
    lab = make_lab()
    pruning = Pruning(tiny_bert(), Prune(sparsity=0.5), lab)
    right = [example for example in lab.examples if example.label == 1]
    ones = until.quality(pruning, right)
    with torch.no_grad():
        pruning.model.classifier.weight.zero_()
        pruning.model.classifier.bias.copy_(torch.tensor([0.0, 1.0]))
    assert 0 <= ones <= 1
    assert until.quality(pruning, right) == 1.0
    assert until.quality(pruning, list(lab.examples)) == pytest.approx(len(right) / len(lab.examples))


@pytest.mark.parametrize("arguments", [UNTIL, STRUCTURED])
@pytest.mark.parametrize("allowed", [0.3, 0.6])
def test_good_random_and_bad_have_as_many_units_of_every_class_and_bad_is_disjoint_where_it_can_be(
    run, judged, arguments, allowed
):
    judged(lambda gone: 1.0 if gone <= allowed else 0.0)
    found = {pick: run(**arguments, schedule__pick=pick) for pick in ("good", "random", "bad")}
    kinds = {site.kind for site in found["good"].sites} if arguments is STRUCTURED else {""}
    for kind in kinds:
        kept = {
            pick: torch.cat([pruning.masks[site.name] for site in pruning.sites if kind in ("", site.kind)])
            for pick, pruning in found.items()
        }
        count, total = int(kept["good"].sum()), len(kept["good"])
        assert 0 < count < total
        assert {int(mask.sum()) for mask in kept.values()} == {count}
        assert int((kept["good"] & kept["bad"]).sum()) == max(0, 2 * count - total)
        assert not torch.equal(kept["random"], kept["good"])


def test_bad_keeps_the_units_of_least_worth(run, judged):
    judged(lambda gone: 1.0 if gone <= 0.75 else 0.0)
    pruning = run(**{**UNTIL, "schedule__steps": "linear"}, schedule__step=0.25, schedule__pick="bad")
    model = Pruning(pruning.model, pruning.method, pruning.lab)
    original = run(schedule="until", sparsity=0.0).scores()
    scores = torch.cat([original[site.name] for site in model.sites])
    kept = torch.cat([pruning.masks[site.name] for site in pruning.sites])
    assert int(kept.sum()) == round(0.25 * len(kept))
    assert scores[kept].max() <= scores[~kept].min()


def test_without_a_rewind_survivors_are_those_of_the_model_that_was_pruned(run, judged, tiny_bert):
    judged(lambda gone: 1.0 if gone <= 0.5 else 0.0)
    for pick in ("good", "bad"):
        pruning = run(**UNTIL, schedule__pick=pick)
        own = tiny_bert().state_dict()
        masks = pruning.element_masks()
        for name, tensor in pruning.model.state_dict().items():
            assert torch.equal(tensor, own[name] * masks[name] if name in masks else own[name])


def test_with_a_rewind_survivors_are_trained_from_the_pretrained_weights(make_lab, tiny_bert, judged, monkeypatch):
    judged(lambda gone: 1.0 if gone <= 0.5 else 0.0)
    begins = []
    train = Prune.tune

    def watched(self, model, lab, **more):
        begins.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        train(self, model, lab, **more)

    monkeypatch.setattr(Prune, "tune", watched)
    model = tiny_bert()
    method = methods_of(load_recipe("prasanna-m", {"schedule.pick": "bad"}))[0]
    pruned = method.compress(model, make_lab(model))
    pretrained = tiny_bert(seed=11).state_dict()
    assert len(begins) == 2
    assert all(torch.equal(tensor, pretrained[name]) for name, tensor in begins[0].items())
    assert all(torch.equal(tensor, pretrained[name] * (tensor != 0)) for name, tensor in begins[1].items())
    assert 0.4 < zeros(pruned) <= 0.5


def test_the_same_units_are_found_with_and_without_fine_tuning(make_lab, tiny_bert, judged):
    judged(lambda gone: 1.0 if gone <= 0.5 else 0.0)
    model = tiny_bert()
    masks = []
    for rewind in ("start", "none"):
        method = methods_of(load_recipe("prasanna-m", {"schedule.rewind": rewind}))[0]
        pruned = method.compress(model, make_lab(model))
        masks.append(torch.cat([each.weight.flatten() != 0 for each in adapter_for(pruned).linears(pruned).values()]))
    assert torch.equal(*masks)


def test_heads_and_feed_forward_parts_go_side_by_side(make_lab, tiny_bert, judged):
    judged(lambda gone: 1.0 if gone <= 0.55 else 0.0)
    model = tiny_bert()
    method = methods_of(load_recipe("prasanna-s", {"saliency.examples": 2}))[0]
    pruning = Pruning(tiny_bert(), method, make_lab(model))
    method.schedule.run(pruning)
    gone = {}
    for site in pruning.sites:
        gone.setdefault(site.kind, []).append(~pruning.masks[site.name])
    shares = {kind: torch.cat(parts).float().mean().item() for kind, parts in gone.items()}
    assert shares == {"head": 0.5, "mlp": 0.5}


def test_too_few_examples_and_a_model_that_has_learned_nothing_are_refused(make_lab, tiny_bert, judged):
    lab = make_lab()
    with pytest.raises(MethodError, match="holds out 0 of 0 training examples"):
        prune(**UNTIL).compress(tiny_bert(), dataclasses.replace(lab, examples=()))
    for nothing, said in ((0.0, "is 0;"), (None, "is undefined;")):
        judged(lambda gone, nothing=nothing: nothing)
        with pytest.raises(MethodError, match=said):
            prune(**UNTIL).compress(tiny_bert(), lab)


def test_only_this_schedule_depends_on_the_tasks_metrics():
    assert prune(**UNTIL).scores()
    assert not Prune(sparsity=0.5).scores()
