from __future__ import annotations

import math

import pytest
import torch
from made_terms import guided, softened

from bench.methods.base.terms.divergences import KullbackLeibler
from bench.tasks.batching import collate
from bench.tasks.features import Feature
from bench.tasks.kinds.sequence import Classification, Regression
from bench.tasks.kinds.span_qa import SpanQA
from bench.training.objective import Objective, TaskTerm
from bench.training.terms.outputs import ComparedHead, head_loss
from bench.training.terms.teacher import Teacher


def distillation_loss(student, teacher, *, temperature, mask=None):
    """T^2 KL of logits that no model gave, by the same functions that train."""
    heads = [ComparedHead(*pair, mask) for pair in zip(student, teacher, strict=True)]
    disparity = KullbackLeibler(temperature=temperature).disparity()
    return torch.stack([head_loss(disparity, head, None) for head in heads]).mean()


def random_logits(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_loss_is_the_textbook_sum(temperature):
    student, teacher = random_logits(3, 5, seed=1).double(), random_logits(3, 5, seed=2).double()
    expected = 0.0
    for row in range(3):
        p = [math.exp(value / temperature) for value in teacher[row].tolist()]
        q = [math.exp(value / temperature) for value in student[row].tolist()]
        p, q = [value / sum(p) for value in p], [value / sum(q) for value in q]
        expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 3
    found = distillation_loss((student,), (teacher,), temperature=temperature).item()
    assert found == pytest.approx(temperature**2 * expected, rel=1e-4)


def test_loss_and_gradient_are_zero_for_logits_equal_up_to_a_constant():
    teacher = random_logits(4, 3)
    student = (teacher + torch.tensor([[1.0], [-2.0], [0.0], [7.0]])).requires_grad_()
    loss = distillation_loss((student,), (teacher,), temperature=2.0)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert student.grad.abs().max() < 1e-6


def test_loss_and_gradient_are_not_zero_for_other_logits():
    teacher = random_logits(4, 3)
    student = (teacher * 1.1).requires_grad_()
    loss = distillation_loss((student,), (teacher,), temperature=2.0)
    loss.backward()
    assert loss.item() > 1e-4
    assert student.grad.abs().max() > 1e-4


def test_at_high_temperature_the_gradient_is_that_of_squared_differences():
    student, teacher = random_logits(1, 4, seed=1), random_logits(1, 4, seed=2)
    student, teacher = (logits - logits.mean() for logits in (student, teacher))
    student.requires_grad_()
    distillation_loss((student,), (teacher,), temperature=300.0).backward()
    torch.testing.assert_close(student.grad, (student.detach() - teacher) / 4, rtol=2e-2, atol=2e-3)


def test_no_gradient_flows_into_a_teacher_unless_it_is_attached(tiny_bert):
    kind, model, student = Classification(), tiny_bert(), tiny_bert(seed=1)
    batch = collate(features(kind), pad_id=0)

    def backward(teacher):
        outputs = student(**batch.inputs)
        head = ComparedHead(kind.logits(outputs, batch)[0], teacher.outputs(batch, kind)[0])
        head_loss(KullbackLeibler().disparity(), head, None).backward()
        return [parameter.grad is not None for parameter in model.parameters()]

    teacher = Teacher(model, moving=True)
    assert not any(backward(teacher))
    with teacher.attached():
        assert all(backward(teacher))


@pytest.mark.parametrize("shape", [(6, 1), (6,)])
def test_single_outputs_are_compared_by_mean_squared_error(shape):
    student, teacher = random_logits(*shape, seed=1), random_logits(*shape, seed=2)
    found = distillation_loss((student,), (teacher,), temperature=3.0)
    assert found.item() == pytest.approx(((student - teacher) ** 2).mean().item(), rel=1e-6)


def test_masked_positions_change_neither_loss_nor_gradient():
    student, teacher = random_logits(2, 4, seed=1).requires_grad_(), random_logits(2, 4, seed=2)
    whole = distillation_loss((student,), (teacher,), temperature=2.0)
    wide = torch.cat([student.detach(), torch.full((2, 3), 50.0)], dim=1).requires_grad_()
    noise = torch.cat([teacher, random_logits(2, 3, seed=3) * 100], dim=1)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0]] * 2)
    masked = distillation_loss((wide,), (noise,), temperature=2.0, mask=mask)
    whole.backward()
    masked.backward()
    assert masked.item() == pytest.approx(whole.item(), rel=1e-6)
    torch.testing.assert_close(wide.grad[:, :4], student.grad)
    assert wide.grad[:, 4:].abs().max() == 0


def features(kind):
    rows = [([2, 10, 11, 3], 1), ([2, 12, 13, 14, 15, 3], 0), ([2, 16, 3], 1)]
    target = {
        "classification": lambda label: {"labels": label},
        "regression": lambda label: {"labels": float(label)},
        "span_qa": lambda label: {"start_positions": 1, "end_positions": 1 + label},
    }[kind.name]
    return [
        Feature(inputs={"input_ids": ids, "attention_mask": [1] * len(ids)}, targets=target(label), example=index)
        for index, (ids, label) in enumerate(rows)
    ]


def build(tiny_bert, kind, **options):
    if kind.head == "question-answering":
        return tiny_bert(2, head="question-answering", **options)
    return tiny_bert(1 if kind.name == "regression" else 2, **options)


@pytest.mark.parametrize("kind", [Classification(), Regression(), SpanQA()], ids=lambda kind: kind.name)
def test_a_clone_of_the_teacher_has_no_distillation_loss_for_any_kind(tiny_bert, kind):
    teacher = build(tiny_bert, kind)
    batch = collate(features(kind), pad_id=0)
    outputs = teacher(**batch.inputs)
    term = guided(softened(2.0), teacher)
    for _ in range(2):  # the second time from memory
        assert term.loss(teacher, batch, outputs, kind).item() == pytest.approx(0.0, abs=1e-6)
    other = build(tiny_bert, kind, seed=1)
    assert term.loss(other, batch, other(**batch.inputs), kind).item() > 1e-7


@pytest.mark.parametrize("kind", [Classification(), SpanQA()], ids=lambda kind: kind.name)
def test_remembered_outputs_do_not_depend_on_the_batch_they_came_in(tiny_bert, kind):
    teacher, student = build(tiny_bert, kind), build(tiny_bert, kind, seed=1)
    all_features = features(kind)
    term = guided(softened(2.0), teacher)
    whole = collate(all_features, pad_id=0)
    term.loss(student, whole, student(**whole.inputs), kind)
    part = collate(all_features, pad_id=0, rows=[2, 0])
    outputs = student(**part.inputs)
    remembered = term.loss(student, part, outputs, kind)
    computed = guided(softened(2.0), teacher).loss(student, part, outputs, kind)
    assert remembered.item() == pytest.approx(computed.item(), rel=1e-4, abs=1e-9)


def test_the_terms_are_a_weighted_sum_without_terms_of_weight_zero(tiny_bert):
    kind, teacher, student = Classification(), tiny_bert(), tiny_bert(seed=1)
    batch = collate(features(kind), pad_id=0)
    outputs = student(**batch.inputs)
    soft = guided(softened(2.0), teacher).loss(student, batch, outputs, kind).item()
    hard = TaskTerm().loss(student, batch, outputs, kind).item()
    for alpha in (0.0, 0.3, 1.0):
        terms = guided({"labels": 1.0 - alpha, **softened(2.0, weight=alpha)}, teacher)
        found = terms.loss(student, batch, outputs, kind).item()
        assert found == pytest.approx(alpha * soft + (1 - alpha) * hard, rel=1e-6)
    assert Objective().loss(student, batch, outputs, kind).item() == pytest.approx(hard)
