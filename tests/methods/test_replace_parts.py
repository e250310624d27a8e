"""Module replacing of attentions and feed-forward parts, on post-norm and pre-norm encoders."""

from __future__ import annotations

import pytest
import torch
from families import make
from pydantic import ValidationError

from bench.methods.replace.replace import Replace
from bench.methods.shrink.groups import groups
from bench.models.adapter import adapter_for
from bench.tasks.kinds.sequence import Classification
from bench.training.hooks import TrainState
from bench.training.paths import ReplaceableModules, ReplaceSchedule, ReplacingHook

STEP = 1e-9


def widths(model, part):
    """Rows of the first matrix of every attention or feed-forward part."""
    found = groups(model, adapter_for(model))
    return [group.givers[0].weight.shape[0] for group in found if group.part == part]


@pytest.mark.parametrize(("unit", "other"), [("attention", "ffn"), ("ffn", "attention")])
def test_successors_have_their_share_and_the_other_parts_stay(make_lab, tiny_bert, unit, other):
    model = tiny_bert()
    replaced = Replace(unit=unit, ratio=0.5, learning_rate=STEP).compress(model, make_lab(model))
    assert widths(replaced, unit) == [width // 2 for width in widths(model, unit)]
    assert widths(replaced, other) == widths(model, other)
    assert all(parameter.requires_grad for parameter in replaced.parameters())


def test_only_successors_train_and_the_given_model_stays(make_lab, tiny_bert, state_of):
    model = tiny_bert()
    given = state_of(model)
    still = Replace(unit="ffn", learning_rate=STEP).compress(model, make_lab(model)).state_dict()
    moved = Replace(unit="ffn", budget=3).compress(model, make_lab(model)).state_dict()
    changed = {name for name, tensor in moved.items() if not torch.allclose(tensor, still[name], atol=1e-6)}
    assert changed
    assert all("intermediate.dense" in name or ".output.dense" in name for name in changed)
    assert not any("attention" in name for name in changed)
    assert all(torch.equal(tensor, given[name]) for name, tensor in state_of(model).items())


def test_rate_zero_is_the_predecessor_and_rate_one_the_successor_exactly(make_lab, tiny_bert, logits_of):
    model = tiny_bert()
    narrow = Replace(unit="ffn", learning_rate=STEP).compress(model, make_lab(model))
    mine, its = (
        [group.modules for group in groups(each, adapter_for(each)) if group.part == "ffn"] for each in (model, narrow)
    )
    before, after = logits_of(model), logits_of(narrow)
    hook = ReplacingHook(ReplaceableModules(model, mine, its), schedule=ReplaceSchedule(start=0.0, full_at=0.5), seed=0)
    for step, expected in [(0, before), (5, after), (1, None), (5, after)]:
        hook.before_step(TrainState(model=model, optimizer=None, step=step, total_steps=10, kind=Classification()))
        if expected is not None:
            torch.testing.assert_close(logits_of(model), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("argument", [{"layers": 2, "unit": "ffn"}, {"ratio": 0.25}])
def test_an_argument_of_another_unit_is_refused(argument):
    with pytest.raises(ValidationError, match="has no effect if unit is"):
        Replace(**argument)


@pytest.mark.parametrize("family", ["roberta", "roberta-prelayernorm"])
@pytest.mark.parametrize("unit", ["layer", "attention", "ffn"])
def test_post_norm_and_pre_norm_encoders_are_replaced_alike(make_lab, family, unit):
    model = make(family, labels=2, vocab_size=60)
    replaced = Replace(unit=unit, budget=0.5).compress(model, make_lab(model))
    before, after = (sum(each.numel() for each in one.parameters()) for one in (model, replaced))
    assert after < before
    assert len(adapter_for(replaced).layers(replaced)) == (2 if unit == "layer" else 4)
