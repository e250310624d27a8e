"""Weights and smoothed targets of easy examples."""

from __future__ import annotations

import math

import pytest
import torch
from made_terms import guided

from bench.base.errors import MethodError
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS
from bench.training.terms.divergences import Softened
from bench.training.terms.ease import ByEase, KnownEase, TeacherCertainty
from bench.training.terms.outputs import output_loss
from bench.training.terms.teacher import Teacher

KIND = KINDS.get("classification")


def sharp(model, factor=30):
    with torch.no_grad():
        model.classifier.weight.mul_(factor)
    return model


@pytest.fixture
def batch(keyword_features):
    return collate(keyword_features(8), pad_id=0)


def kl(p, q):
    return (p * (p.log() - q.log())).sum(-1)


@pytest.fixture
def models(tiny_bert, batch):
    """A teacher, a student, and their probabilities in float64."""
    teacher, student = sharp(tiny_bert(seed=1)), sharp(tiny_bert(seed=2))
    with torch.no_grad():
        said = [torch.softmax(model(**batch.inputs).logits.double(), dim=-1) for model in (teacher, student)]
    return teacher, student, *said


def loss_of(models, batch, weigher):
    teacher, student = Teacher(models[0]), models[1]
    outputs = student(**batch.inputs)
    options = {"weights": weigher.factors(batch, KIND, teacher), "sharpness": weigher.sharpness(batch, KIND, teacher)}
    return output_loss(Softened(1.0, 1.0, entropy=True), outputs, teacher, batch, KIND, **options).item()


def test_certainty_is_one_less_the_entropy_as_a_share_of_its_largest(models, batch):
    teacher, _, p, _ = models
    found = TeacherCertainty().of(batch, KIND, Teacher(teacher))
    expected = 1 + (p * p.log()).sum(-1) / math.log(2)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)
    inverted = TeacherCertainty(inverted=True).of(batch, KIND, Teacher(teacher))
    torch.testing.assert_close(found + inverted, torch.ones(8))


def test_as_a_weight_the_loss_of_an_easy_example_counts_less(models, batch):
    _, _, p, q = models
    ease = torch.linspace(0, 1, 8)
    found = loss_of(models, batch, ByEase(KnownEase(ease), strength=0.5, smooth=False))
    expected = ((1 - 0.5 * ease.double()) * kl(p, q)).mean().item()
    assert found == pytest.approx(expected, rel=1e-4)


def test_as_a_smoothing_the_target_is_the_teachers_power_normalised(models, batch):
    """p^(1 - b) / sum p^(1 - b), Utama et al. 2020, equation of §3."""
    _, _, p, q = models
    ease = torch.linspace(0, 1, 8)
    found = loss_of(models, batch, ByEase(KnownEase(ease), strength=1.0, smooth=True))
    powers = p ** (1 - ease.double())[:, None]
    target = powers / powers.sum(-1, keepdim=True)
    assert found == pytest.approx(kl(target, q).mean().item(), rel=1e-4)
    torch.testing.assert_close(target[-1], torch.full((2,), 0.5, dtype=torch.float64))


def test_an_ease_is_that_of_the_row_in_the_training_set(keyword_features):
    part = collate(keyword_features(8), pad_id=0, rows=[6, 1])
    assert KnownEase(torch.arange(8) / 10).of(part, KIND, None).tolist() == pytest.approx([0.6, 0.1])


def test_a_span_is_uncertain_over_its_real_tokens(tiny_bert, keyword_features):
    kind = KINDS.get("span_qa")
    features = list(keyword_features(6))
    bare = [type(each)(inputs=each.inputs, targets={}, example=each.example) for each in features]
    batch, model = collate(bare, pad_id=0), tiny_bert(head="question-answering")
    with torch.no_grad():
        outputs = model(**batch.inputs)
    shares = []
    for head in (outputs.start_logits, outputs.end_logits):
        for row, mask in zip(head.double(), batch.inputs["attention_mask"].bool(), strict=True):
            p = torch.softmax(row[mask], dim=-1)
            shares.append(-(p * p.log()).sum() / math.log(int(mask.sum())))
    expected = torch.stack(shares).view(2, -1).mean(0)
    found = TeacherCertainty(inverted=True).of(batch, kind, Teacher(model))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def test_a_regression_has_no_uncertainty(tiny_bert, batch):
    with pytest.raises(MethodError, match="gives one number per example has no uncertainty"):
        TeacherCertainty().of(batch, KINDS.get("regression"), Teacher(tiny_bert(1)))


def test_labels_alone_have_no_teacher_to_be_uncertain(models, batch):
    guidance = guided({"labels": {"by": "uncertainty"}})
    outputs = models[1](**batch.inputs)
    with pytest.raises(MethodError, match="need a term that is compared with a teacher"):
        guidance.loss(models[1], batch, outputs, KIND)
