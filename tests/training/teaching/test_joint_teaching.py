"""ProKT: a teacher that goes one step ahead of its student."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from bench.spec.setting import Training
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS
from bench.training.hooks import Hook
from bench.training.loop import train
from bench.training.teaching.beside import Beside, Draws
from bench.training.teaching.joint import JointTeaching
from bench.training.terms.teacher import Teacher

KIND = KINDS.get("classification")
PLAN = Training(epochs=1.0, batch_size=16, learning_rate=1e-3)
SEED = 3


def state_of(model):
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def equal(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.fixture
def run(guided):
    """A function that distils a student from a teacher that trains beside it, on nothing but the teacher's outputs."""

    def distil(teacher, student, features, *, hooks=(), **options):
        moving = Teacher(teacher, moving=True)
        hook = JointTeaching(moving, student, Beside(teacher, plan=PLAN, seed=SEED), **options)
        every = {"kind": KIND, "pad_id": 0, "plan": PLAN, "seed": SEED, "device": "cpu"}
        log = train(student, features, objective=guided(moving), hooks=[hook, *hooks], **every)
        return hook, log

    return distil


def test_at_weight_0_the_teacher_trains_as_if_it_were_alone(run, tiny_bert, keyword_features):
    features = keyword_features()
    alone, beside = tiny_bert(seed=1), tiny_bert(seed=1)
    train(alone, features, kind=KIND, pad_id=0, plan=PLAN, seed=SEED, device="cpu")
    run(beside, tiny_bert(layers=2, seed=2), features, weight=0.0)
    assert equal(state_of(alone), state_of(beside))


def test_at_weight_1_the_teacher_never_sees_a_label(run, tiny_bert, keyword_features):
    found = []
    for flip in (False, True):
        teacher = tiny_bert(seed=1)
        run(teacher, tiny_bert(layers=2, seed=2), keyword_features(label=lambda x, f=flip: int(x) ^ f), weight=1.0)
        found.append(state_of(teacher))
    assert equal(*found)
    assert not equal(found[0], state_of(tiny_bert(seed=1)))


def test_between_the_limits_the_teacher_depends_on_labels_and_on_the_student(run, tiny_bert, keyword_features):
    def teacher_after(flip=False, seed=2):
        teacher, student = tiny_bert(seed=1), tiny_bert(layers=2, seed=seed)
        run(teacher, student, keyword_features(label=lambda x: int(x) ^ flip), weight=0.4)
        return state_of(teacher)

    usual = teacher_after()
    assert not equal(usual, teacher_after(flip=True))
    assert not equal(usual, teacher_after(seed=5))


def test_the_teachers_loss_is_that_of_the_paper(guided, tiny_bert, keyword_features):
    """(1 - weight) CE(y, q) + weight KL(p_s || q), with the student in evaluation mode."""
    teacher, student = tiny_bert(seed=1), tiny_bert(layers=2, seed=2)
    for dropout in (module for module in teacher.modules() if isinstance(module, torch.nn.Dropout)):
        dropout.p = 0.0
    beside = Beside(teacher, plan=PLAN, seed=SEED)
    seen = []
    step = beside.step
    beside.step = lambda state, objective: seen.append(step(state, objective)) or seen[-1]
    with torch.no_grad():
        teacher.classifier.weight.mul_(20)
        student.classifier.weight.mul_(20)
    batch = collate(keyword_features(16), pad_id=0)
    with torch.no_grad():
        q, p = (torch.log_softmax(model(**batch.inputs).logits.double(), dim=-1) for model in (teacher, student))
    expected = 0.6 * functional.nll_loss(q, batch.targets["labels"]) + 0.4 * (p.exp() * (p - q)).sum(-1).mean()

    hook = JointTeaching(Teacher(teacher, moving=True), student, beside, weight=0.4)
    objective = guided(Teacher(teacher, moving=True))
    options = {"kind": KIND, "pad_id": 0, "seed": SEED, "device": "cpu", "objective": objective}
    plan = PLAN.model_copy(update={"batch_size": 16})
    train(student, keyword_features(16), plan=plan, hooks=[hook], **options)
    assert seen[0].item() == pytest.approx(expected.item(), rel=1e-5)


class Watch(Hook):
    """The student's gradients of the first step, and the teacher at that time."""

    def __init__(self, teacher):
        self.teacher = teacher
        self.seen = None

    def after_backward(self, state):
        if self.seen is None:
            gradients = {name: value.grad.clone() for name, value in state.model.named_parameters()}
            self.seen = (gradients, copy.deepcopy(self.teacher), state.batch)


def test_the_students_gradient_is_that_of_the_divergence_from_the_teacher_that_has_moved(
    run, tiny_bert, keyword_features
):
    teacher, student = tiny_bert(seed=1), tiny_bert(layers=2, seed=2)
    before = tiny_bert(seed=1)
    for dropout in (module for module in student.modules() if isinstance(module, torch.nn.Dropout)):
        dropout.p = 0.0
    again, watch = copy.deepcopy(student), Watch(teacher)
    run(teacher, student, keyword_features(), weight=0.4, hooks=[watch])
    gradients, moved, batch = watch.seen
    assert not equal(state_of(before), state_of(moved))

    def gradient_towards(model):
        again.zero_grad()
        with torch.no_grad():
            q = torch.softmax(model(**batch.inputs).logits, dim=-1)
        p = torch.log_softmax(again(**batch.inputs).logits, dim=-1)
        (q * (q.log() - p)).sum(-1).mean().backward()
        return {name: value.grad.clone() for name, value in again.named_parameters()}

    right, wrong = gradient_towards(moved), gradient_towards(before)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, right[name], rtol=1e-3, atol=1e-7)
    assert any(not torch.allclose(gradients[name], wrong[name], rtol=1e-3, atol=1e-7) for name in gradients)


def test_the_student_draws_the_same_dropout_whatever_the_teacher_draws():
    def drawn(draws):
        torch.manual_seed(0)
        first = torch.rand(2)
        if draws is not None:
            with draws.drawn():
                torch.rand(7)
        return torch.cat([first, torch.rand(2)])

    assert torch.equal(drawn(None), drawn(Draws(5)))


def test_own_draws_go_on_where_they_ended():
    draws, found = Draws(5), []
    for _ in range(2):
        with draws.drawn():
            found.append(torch.rand(3))
        torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.cat(found), torch.rand(6))


def test_the_multiplier_rises_above_the_constraint_and_falls_to_zero_below_it(run, tiny_bert, keyword_features):
    features = keyword_features()
    found = {}
    for name, epsilon in {"strict": 0.0, "loose": 5.0}.items():
        teacher, student = tiny_bert(seed=1), tiny_bert(layers=2, seed=2)
        with torch.no_grad():
            student.classifier.weight.mul_(50)
        hook, log = run(teacher, student, features, weight=1.0, multiplier=(epsilon, 0.1, 1.0))
        found[name] = (hook.multiplier.beta.item(), log.steps)
    assert found["strict"][0] > 1.0
    beta, steps = found["loose"]
    assert beta == 0.0
    assert steps >= 3  # 1 - 0.1 * (5 - KL) per step reaches 0 after a few


def test_the_lagrangian_objective_is_the_task_loss_plus_beta_times_the_excess(run, tiny_bert, keyword_features):
    """With beta fixed at 0 it is the plain loss: the teacher trains as if it were alone."""
    features = keyword_features()
    alone, beside = tiny_bert(seed=1), tiny_bert(seed=1)
    train(alone, features, kind=KIND, pad_id=0, plan=PLAN, seed=SEED, device="cpu")
    run(beside, tiny_bert(layers=2, seed=2), features, weight=1.0, multiplier=(1.0, 0.0, 0.0))
    assert equal(state_of(alone), state_of(beside))
