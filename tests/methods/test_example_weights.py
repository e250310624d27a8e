"""Distillation in which not every example counts alike."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.methods.distill.distill import Distill


def distilled(lab, by, state_of, what="logits"):
    terms = {"labels": 0.5, "logits": {"weight": 0.5, "divergence": {"name": "kl", "temperature": 2.0}}}
    if by is not None:
        terms[what] = {**(terms[what] if what == "logits" else {"weight": 0.5}), "by": by}
    return state_of(Distill(terms=terms).compress(lab.reference, lab))


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture
def lab(make_lab, tiny_bert):
    reference = tiny_bert(seed=4)
    with torch.no_grad():
        reference.classifier.weight.mul_(30)
    return make_lab(reference, epochs=2.0)


@pytest.mark.parametrize("name", ["uncertainty", "bias-only"])
@pytest.mark.parametrize("effect", ["weight", "smooth"])
def test_at_strength_0_it_is_plain_distillation_to_the_bit(name, effect, lab, state_of):
    plain = distilled(lab, None, state_of)
    assert same(plain, distilled(lab, {"name": name, "strength": 0.0, "effect": effect}, state_of))
    assert not same(plain, distilled(lab, {"name": name, "effect": effect}, state_of))


def test_the_direction_of_uncertainty_matters(lab, state_of):
    some = [distilled(lab, {"name": "uncertainty", "favour": each}, state_of) for each in ("uncertain", "certain")]
    assert not same(*some)


def test_labels_may_be_reweighted_by_a_bias_only_model(lab, state_of):
    plain = distilled(lab, None, state_of)
    assert not same(plain, distilled(lab, "bias-only", state_of, what="labels"))
    assert "A bias-only model of bag-of-words gives labels a mean probability of" in lab.notes[-1]


def test_what_smooths_a_teacher_has_no_place_on_labels_or_layers():
    for what in ("labels", "hidden"):
        with pytest.raises(ValidationError, match="softens what a teacher's head says"):
            Distill(terms={what: {"by": {"name": "bias-only", "effect": "smooth"}}})


def test_a_second_text_is_needed_to_read_it(lab):
    terms = {"logits": {"by": {"name": "bias-only", "reads": "second-text"}}}
    with pytest.raises(MethodError, match="needs pairs of texts"):
        Distill(terms=terms).compress(lab.reference, lab)


def test_a_task_without_classes_has_no_bias_only_model(lab):
    task = lab.task.model_copy(update={"labels": ()})
    with pytest.raises(MethodError, match="predicts one class per example"):
        Distill(terms={"logits": {"by": "bias-only"}}).compress(lab.reference, dataclasses.replace(lab, task=task))
