"""The recipes of distillation: what they train, on which layers, and that they run on a small model."""

from __future__ import annotations

import pytest
import torch

from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of

HALF = ("distillation", "pkd-last", "pkd-skip", "aguilar-pid", "aguilar-sid", "tinybert", "minilm", "minilmv2")


def listened(name, make_lab, tiny_bert, *, depth=12, layers=6):
    """The pairs of layers of each term of a recipe's first stage, for a student of `layers` of `depth` layers."""
    method = methods_of(load_recipe(name, {"1.student.layers": layers}))[0]
    reference = tiny_bert(layers=depth)
    lab = make_lab(reference)
    student = method.student.made(reference, lab)
    guidance = method.guidance(lab)
    guidance.layers_of(student)
    found = {}
    for key, term in method.terms.working.items():
        if term.what.layered:
            pairs = term.goal(lab).layered.pairs
            found[key] = [] if pairs is None else list(pairs(layers, depth))
    return found


@pytest.mark.parametrize(
    ("name", "key", "layers", "teachers"),
    [
        ("pkd-skip", "cls", 6, [2, 4, 6, 8, 10]),
        ("pkd-skip", "cls", 3, [4, 8]),
        ("pkd-last", "cls", 6, [7, 8, 9, 10, 11]),
        ("pkd-last", "cls", 3, [10, 11]),
        ("tinybert", "hidden", 4, [3, 6, 9, 12]),
        ("tinybert", "attention-scores", 4, [3, 6, 9, 12]),
        ("aguilar-pid", "cls", 6, [2, 4, 6, 8, 10, 12]),
    ],
)
def test_recipes_compare_the_layers_of_their_papers(name, key, layers, teachers, make_lab, tiny_bert):
    pairs = listened(name, make_lab, tiny_bert, layers=layers)[key]
    assert [its for _, its in pairs] == teachers
    assert [mine for mine, _ in pairs] == list(range(1, len(teachers) + 1))


@pytest.mark.parametrize("name", ["minilm", "minilmv2"])
def test_minilm_compares_last_layers(name, make_lab, tiny_bert):
    assert set(map(tuple, listened(name, make_lab, tiny_bert).values())) == {((6, 12),)}


@pytest.mark.parametrize("name", HALF)
def test_a_recipe_makes_half_of_the_layers_and_keeps_the_given_model(name, make_lab, tiny_bert, state_of):
    reference = tiny_bert()
    model, lab, before = reference, make_lab(reference), state_of(reference)
    for method in methods_of(load_recipe(name)):
        model = method.compress(model, lab)
    assert adapter_for(model).depth(model) == 2
    assert set(model.state_dict()) <= set(before)
    assert all(torch.equal(before[key], tensor) for key, tensor in reference.state_dict().items())
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values() if tensor.is_floating_point())


def test_patient_students_start_from_the_first_layers_of_the_pretrained_model(make_lab, tiny_bert):
    (method,) = methods_of(load_recipe("pkd-skip"))
    reference = tiny_bert(layers=6)
    student = method.student.made(reference, make_lab(reference))
    source = tiny_bert(layers=6, seed=11)
    pairs = zip(adapter_for(student).layers(student), adapter_for(source).layers(source)[:3], strict=True)
    for mine, its in pairs:
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), its.parameters(), strict=True))


@pytest.mark.parametrize("name", HALF)
def test_the_budgets_of_all_recipes_are_equal(name):
    assert sum(method.budget for method in methods_of(load_recipe(name))) == pytest.approx(1.0)
