"""Recipes of systems whose teachers are more than a frozen reference."""

from __future__ import annotations

import pytest
import torch
from made_terms import guided
from torch.nn import functional

from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS
from bench.training.terms.teacher import Teacher
from bench.training.terms.weighing import ByTeacherError

KIND = KINDS.get("classification")
RECIPES = (
    *("mt-bert", "prokt", "prokt-lagrangian", "metadistil"),
    *("teacher-assistant", "uncertainty-distillation", "bias-aware-distillation"),
)


def stage_of(name):
    (method,) = methods_of(load_recipe(name))
    return method


@pytest.fixture
def batch(make_lab):
    return collate(make_lab().features[:8], pad_id=0)


def sharp(model, factor=30):
    with torch.no_grad():
        model.classifier.weight.mul_(factor)
    return model


def states(model, batch):
    """What each layer gives, at real tokens, in float64."""
    with torch.no_grad():
        found = model(**batch.inputs, output_hidden_states=True)
    real = batch.inputs["attention_mask"].bool()
    return [each[real].double() for each in found.hidden_states[1:]], found.logits.double()


@pytest.mark.parametrize("depths", [(4, 3), (4,)])
def test_mt_bert_is_its_sum_over_labels_teachers_and_layers(depths, tiny_bert, batch):
    """CE(y, s) + sum_i sum_j MSE(H_s, W H_t) + sum_i mean CE(t_i / T, s / T) / (1 + CE(y, t_i)); W is new.

    With one teacher it is the patient kind of loss with the weight 1 / (1 + CE).
    """
    student = sharp(tiny_bert(layers=2, seed=7)).eval()
    teachers = [sharp(tiny_bert(layers=layers, seed=layers)) for layers in depths]
    guidance = guided(stage_of("mt-bert").terms, *teachers)
    found = guidance.loss(student, batch, student(**batch.inputs), KIND).item()
    mine, logits = states(student, batch)
    labels = batch.targets["labels"]
    expected = functional.cross_entropy(logits, labels)
    for depth, teacher in zip(depths, teachers, strict=True):
        its, told = states(teacher, batch)
        layers = [2, 4] if depth == 4 else [2, 3]  # uniform: m N / M, rounded
        # A new map between equal widths is the identity.
        expected = expected + sum((mine[m] - its[n - 1]).square().mean() for m, n in enumerate(layers))
        soft = -(torch.softmax(told / 2, -1) * torch.log_softmax(logits / 2, -1)).sum(-1)
        expected = expected + (soft / (1 + functional.cross_entropy(told, labels, reduction="none"))).mean()
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_mt_bert_has_a_learned_matrix_for_each_teacher_and_layer(tiny_bert, batch):
    student, teachers = tiny_bert(layers=2, seed=7), [tiny_bert(layers=layers, seed=layers) for layers in (4, 3)]
    guidance = guided(stage_of("mt-bert").terms, *teachers)
    guidance.loss(student, batch, student(**batch.inputs), KIND).backward()
    matrices = [each for each in guidance.projected() if each.dim() == 2]
    assert len(matrices) == 2 * 2
    assert all(each.grad is not None for each in matrices)


def test_a_teacher_that_is_wrong_has_a_smaller_weight(tiny_bert, batch):
    right = sharp(tiny_bert(seed=1), 100)
    labels = right(**batch.inputs).logits.argmax(-1)
    batch = batch._replace(targets={"labels": labels})
    wrong = sharp(tiny_bert(seed=1), -100)
    with torch.no_grad():
        wrong.classifier.bias.neg_()
    weights = [ByTeacherError().factors(batch, KIND, Teacher(each)) for each in (right, wrong)]
    assert (weights[0] > weights[1]).all()
    assert ((weights[0] > 0) & (weights[0] <= 1)).all()


def test_prokt_students_never_see_a_label_themselves():
    for name in ("prokt", "prokt-lagrangian"):
        assert list(stage_of(name).terms.working) == ["logits"]


def test_metadistils_soft_loss_is_the_squared_difference_of_probabilities_times_the_squared_temperature(
    tiny_bert, batch
):
    student, teacher = sharp(tiny_bert(layers=2, seed=7)), sharp(tiny_bert(seed=1))
    terms = {"logits": stage_of("metadistil").terms["logits"]}
    found = guided(terms, teacher).loss(student, batch, student(**batch.inputs), KIND).item()
    s, t = (torch.softmax(model(**batch.inputs).logits.double() / 5, -1) for model in (student, teacher))
    assert found == pytest.approx(0.5 * 25 * (s - t).square().mean().item(), rel=1e-4)


def test_metadistils_patient_weight_is_that_of_the_code_at_the_width_of_bert():
    """100 times a mean over the width of 768 there, a sum over it here."""
    assert stage_of("metadistil").terms["cls"].weight == pytest.approx(100 / 768, rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_gives_a_student_of_half_the_depth(name, make_lab, tiny_bert, logits_of):
    reference = sharp(tiny_bert(seed=4))
    student = stage_of(name).compress(reference, make_lab(reference))
    assert adapter_for(student).depth(student) == 2
    assert torch.isfinite(logits_of(student)).all()


@pytest.mark.slow
def test_a_step_of_metadistil_with_all_its_terms_costs_at_most_five_plain_ones(make_lab, tiny_bert):
    from torch.utils.flop_counter import FlopCounterMode

    found = {}
    for teacher in ("reference", {"name": "meta", "quiz": 0.5}):
        lab = make_lab(tiny_bert(seed=4), examples=64)
        method = stage_of("metadistil")
        method = type(method).model_validate({**method.model_dump(), "teacher": teacher})
        with FlopCounterMode(display=False) as counter:
            method.compress(lab.reference, lab)
        steps = 8 if teacher == "reference" else 4
        found[str(teacher)] = counter.get_total_flops() / steps
    plain, meta = found.values()
    assert 2 < meta / plain < 5
