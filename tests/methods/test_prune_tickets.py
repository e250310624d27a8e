"""Lottery tickets: what rewinding puts back, how much stays, the controls, and masks of one task on another."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from made_pruning import prune
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.methods.prune.prune import Prune
from bench.methods.prune.run import Pruning
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of

TICKET = {
    "start": "source",
    "schedule__rewind": "start",
    "schedule__rounds": 3,
    "sparsity": 0.6,
    "schedule__steps": "linear",
}


def encoder_weights(model):
    return {f"{name}.weight": module.weight.detach() for name, module in adapter_for(model).linears(model).items()}


@pytest.fixture
def watch(monkeypatch):
    """What every training begins with: the encoder's weights."""
    seen = []
    monkeypatch.setattr(
        Pruning,
        "train",
        lambda self, share, **more: seen.append(
            {name: weight.clone() for name, weight in encoder_weights(self.model).items()}
        ),
    )
    return seen


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_the_lottery_ticket_keeps_four_fifths_of_every_matrix_a_round(make_lab, tiny_bert, watch, rounds):
    method = methods_of(load_recipe("lottery-ticket"))[0]
    model = tiny_bert()
    schedule = method.schedule.model_copy(update={"rounds": rounds})
    fewer = method.model_copy(update={"schedule": schedule, "sparsity": 1 - 0.8**rounds})
    fewer.compress(model, make_lab(model))
    assert len(watch) == rounds + 1
    for done, weights in enumerate(watch):
        for weight in weights.values():
            assert int((weight != 0).sum()) == weight.numel() - round((1 - 0.8**done) * weight.numel())


@pytest.mark.parametrize(("recipe", "seed"), [("lottery-ticket", 12), ("bert-tickets", 11)])
def test_survivors_are_the_start_bit_for_bit_and_masks_only_grow(make_lab, tiny_bert, recipe, seed, monkeypatch):
    start, masks = encoder_weights(tiny_bert(seed=seed)), []
    train, model = Pruning.train, tiny_bert()

    def watched(self, share, **more):
        for name, weight in encoder_weights(self.model).items():
            assert torch.equal(weight, start[name] * (weight != 0))
        masks.append({name: weight != 0 for name, weight in encoder_weights(self.model).items()})
        train(self, share, **more)

    monkeypatch.setattr(Pruning, "train", watched)
    method = methods_of(load_recipe(recipe, {"schedule.rounds": 3, "sparsity": 0.6, "budget": 4.0}))[0]
    trained = encoder_weights(method.compress(model, make_lab(model)))
    assert len(masks) == 4
    for earlier, later in itertools.pairwise(masks):
        assert all((earlier[name] | ~later[name]).all() for name in later)
        assert any((earlier[name] & ~later[name]).any() for name in later)
    for name, weight in trained.items():
        assert torch.equal(weight != 0, masks[-1][name])
        assert not torch.equal(weight, start[name] * (weight != 0))


def test_bert_tickets_reach_every_tenth_of_all_weights_together(make_lab, tiny_bert, watch):
    model = tiny_bert()
    methods_of(load_recipe("bert-tickets"))[0].compress(model, make_lab(model))
    total = sum(weight.numel() for weight in watch[0].values())
    zeros = [sum(int((weight == 0).sum()) for weight in weights.values()) for weights in watch]
    assert zeros == [round(tenths / 10 * total) for tenths in range(10)]
    shares = [(weight == 0).float().mean().item() for weight in watch[5].values()]
    assert max(shares) - min(shares) > 0.005  # ranked together, so matrices differ


def test_the_pooler_and_the_embeddings_are_no_part_of_a_ticket(make_lab, tiny_bert):
    model = tiny_bert()
    pruned = prune(**TICKET, budget=0).compress(model, make_lab(model)).state_dict()
    for name in ("bert.pooler.dense.weight", "bert.embeddings.word_embeddings.weight", "classifier.weight"):
        assert (pruned[name] != 0).float().mean() > 0.9


def test_every_training_of_a_ticket_has_an_equal_part_of_the_budget(make_lab, tiny_bert, monkeypatch):
    seen = []
    monkeypatch.setattr(Pruning, "train", lambda self, share, **more: seen.append(share))
    model = tiny_bert()
    prune(**TICKET).compress(model, make_lab(model))
    assert seen == [0.25] * 4


def test_the_shuffled_control_has_the_starts_values_in_another_place_and_order_each_round(make_lab, tiny_bert, watch):
    model = tiny_bert()
    prune(**{**TICKET, "schedule__rewind": "shuffled", "sparsity": 0.0}).compress(model, make_lab(model))
    first, *others = watch
    for name, weight in first.items():
        for other in others:
            assert not torch.equal(other[name], weight)
            assert torch.equal(other[name].flatten().sort().values, weight.flatten().sort().values)
        assert not torch.equal(others[0][name], others[1][name])


def test_the_random_control_removes_as_many_others(make_lab, tiny_bert, watch):
    model = tiny_bert()
    for saliency in ("magnitude", "random"):
        prune(**TICKET, saliency=saliency).compress(model, make_lab(model))
    ticket, control = (torch.cat([weight.flatten() for weight in watch[end].values()]) for end in (3, 7))
    assert int((ticket == 0).sum()) == int((control == 0).sum())
    both = ((ticket == 0) & (control == 0)).float().mean()
    assert both == pytest.approx(0.36, abs=0.02)  # 0.6 x 0.6: independent


def test_masks_from_the_task_itself_make_the_very_same_model(make_lab, tiny_bert, two_tasks, state_of):
    model = tiny_bert()
    lab = two_tasks()
    plain = state_of(prune(**TICKET).compress(model, dataclasses.replace(lab, reference=model)))
    own = state_of(
        prune(**TICKET, schedule__masks_from="words").compress(model, dataclasses.replace(lab, reference=model))
    )
    assert all(torch.equal(tensor, own[name]) for name, tensor in plain.items())


def test_masks_of_another_task_are_those_that_it_finds_by_itself(tiny_bert, two_tasks):
    model = tiny_bert()
    lab = dataclasses.replace(two_tasks(), reference=model)
    other = lab.elsewhere("others")
    transferred = encoder_weights(prune(**TICKET, schedule__masks_from="others", budget=3.0).compress(model, lab))
    found = encoder_weights(prune(**TICKET, budget=3.0).compress(other.reference, other))
    here = encoder_weights(prune(**TICKET, budget=3.0).compress(model, lab))
    assert all(torch.equal(weight != 0, found[name] != 0) for name, weight in transferred.items())
    assert not all(torch.equal(weight != 0, here[name] != 0) for name, weight in transferred.items())


def test_transferred_survivors_begin_at_this_tasks_own_start_and_train_on_it(tiny_bert, two_tasks, watch):
    model = tiny_bert()
    prune(**TICKET, schedule__masks_from="others").compress(model, dataclasses.replace(two_tasks(), reference=model))
    start = encoder_weights(tiny_bert(seed=11))
    assert len(watch) == 4
    assert all(torch.equal(weight, start[name] * (weight != 0)) for name, weight in watch[-1].items())
    assert sum(int((weight == 0).sum()) for weight in watch[-1].values()) > 0


def test_masks_of_a_task_with_another_encoder_are_refused_before_anything_is_trained(tiny_bert, two_tasks, watch):
    model = tiny_bert()
    lab = dataclasses.replace(two_tasks(kind_of_other="shallow"), reference=model)
    with pytest.raises(MethodError, match=r"has other units than one of words .* they differ in .*layer\.2"):
        prune(**TICKET, schedule__masks_from="others").compress(model, lab)
    assert not watch


def test_a_lab_without_a_suite_has_no_other_task(make_lab, tiny_bert):
    model = tiny_bert()
    with pytest.raises(MethodError, match="task 'others': this call has no suite"):
        prune(**TICKET, schedule__masks_from="others").compress(model, make_lab(model))


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule__rewind": "none"},
        {"start": "given"},
        {"schedule": "gradual", "schedule__rewind": "none"},
        {"terms": {"labels": 0.5, "logits": 0.5}},
        {"delta": True},
    ],
)
def test_masks_from_is_refused_where_there_is_no_start_to_put_them_on_or_no_teacher(changes):
    prune(**TICKET, schedule__masks_from="sst2")
    with pytest.raises(ValidationError, match="masks_from"):
        prune(**{**TICKET, **changes}, schedule__masks_from="sst2")


def test_only_a_transfer_names_a_task():
    assert Prune(sparsity=0.5).tasks() == ()
    assert prune(**TICKET, schedule__masks_from="sst2").tasks() == ("sst2",)
