"""MetaDistil: a teacher that follows the gradient of its student's quiz loss."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.base.errors import TrainingError
from bench.models.modules import differentiable
from bench.spec.setting import Training
from bench.tasks.batching import collate
from bench.tasks.features import Batch
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.sequence import Classification
from bench.training.hooks import Hook
from bench.training.loop import batches, train
from bench.training.objective import Objective, Term
from bench.training.teaching.beside import Beside
from bench.training.teaching.meta import MetaTeaching, teacher_gradients
from bench.training.terms.teacher import Teacher

KIND = KINDS.get("classification")
PLAN = Training(epochs=1.0, batch_size=16, learning_rate=1e-3)
SEED = 3


class Toy(nn.Module):
    """logits = [0, tanh(a x) + b x^2] for a number x: two parameters, float64."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (a, b))

    def forward(self, input_ids):
        x = input_ids.double()
        score = torch.tanh(self.a * x) + self.b * x**2
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(score), score], dim=-1))


class DoubleKind(Classification):
    """The task's loss without rounding to float32."""

    def loss(self, outputs, targets):
        return functional.cross_entropy(outputs.logits, targets["labels"])


class Soft(Term):
    """alpha * KL(teacher || student) + (1 - alpha) * CE, in float64."""

    def __init__(self, teacher, alpha):
        self.teacher, self.alpha = teacher, alpha

    def loss(self, model, batch, outputs, kind):
        wanted = torch.log_softmax(self.teacher.run(batch).logits, dim=-1)
        found = torch.log_softmax(outputs.logits, dim=-1)
        soft = functional.kl_div(found, wanted, log_target=True, reduction="batchmean")
        return self.alpha * soft + (1 - self.alpha) * kind.loss(outputs, batch.targets)


def numbers(values, labels):
    return Batch({"input_ids": torch.tensor(values)}, {"labels": torch.tensor(labels)}, list(range(len(values))))


BATCH = numbers([-1.5, 0.3, 0.8, 2.0], [0, 1, 0, 1])
QUIZ = numbers([-0.7, 0.5, 1.1], [0, 1, 1])


def quiz_loss_after_a_step(student, teacher_values, *, rate, alpha):
    """The oracle: a plain step of a copy of the student, by its own code, and its loss on the quiz."""
    copied, teacher = Toy(student.a.item(), student.b.item()), Toy(*teacher_values)
    loss = Soft(Teacher(teacher, moving=True), alpha).loss(copied, BATCH, copied(**BATCH.inputs), DoubleKind())
    slopes = torch.autograd.grad(loss, [copied.a, copied.b])
    with torch.no_grad():
        for value, slope in zip((copied.a, copied.b), slopes, strict=True):
            value -= rate * slope
        return functional.cross_entropy(copied(**QUIZ.inputs).logits, QUIZ.targets["labels"]).item()


def toy_gradients(student, teacher, *, rate, alpha=0.7):
    moving = Teacher(teacher, moving=True)
    objective = Objective(terms=((1.0, Soft(moving, alpha)),))
    parameters = [teacher.a, teacher.b]
    options = {"batch": BATCH, "quiz": QUIZ, "kind": DoubleKind(), "objective": objective, "rate": rate}
    return teacher_gradients(student, moving, parameters, **options)


@pytest.mark.parametrize("rate", [0.1, 0.7])
def test_the_teachers_gradient_matches_finite_differences_on_a_model_of_two_parameters(rate):
    student, teacher = Toy(0.4, -0.3), Toy(1.2, 0.5)
    found = toy_gradients(student, teacher, rate=rate)
    step = 1e-5
    for index, gradient in enumerate(found):
        shifted = [[1.2, 0.5], [1.2, 0.5]]
        shifted[0][index] += step
        shifted[1][index] -= step
        above, below = (quiz_loss_after_a_step(student, each, rate=rate, alpha=0.7) for each in shifted)
        expected = (above - below) / (2 * step)
        assert abs(expected) > 1e-4
        assert gradient.item() == pytest.approx(expected, rel=1e-6)


def test_an_assumed_step_of_rate_0_gives_the_teacher_a_gradient_of_zero():
    assert [value.item() for value in toy_gradients(Toy(0.4, -0.3), Toy(1.2, 0.5), rate=0.0)] == [0.0, 0.0]


def test_a_student_that_learns_from_labels_alone_gives_the_teacher_no_gradient():
    student, teacher = Toy(0.4, -0.3), Toy(1.2, 0.5)
    found = toy_gradients(student, teacher, rate=0.5, alpha=0.0)
    assert [value.item() for value in found] == [0.0, 0.0]


def test_the_student_has_neither_moved_nor_a_gradient_after_the_assumed_step():
    student = Toy(0.4, -0.3)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    toy_gradients(student, Toy(1.2, 0.5), rate=0.5)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert student.a.grad is None
    assert student.b.grad is None


def test_a_step_along_the_gradient_lowers_the_quiz_loss_of_the_student_that_follows():
    student, values = Toy(0.4, -0.3), torch.tensor([1.2, 0.5], dtype=torch.float64)
    before = quiz_loss_after_a_step(student, values.tolist(), rate=0.5, alpha=0.7)
    slope = torch.stack(toy_gradients(student, Toy(*values.tolist()), rate=0.5))
    after = quiz_loss_after_a_step(student, (values - 0.1 * slope / slope.norm()).tolist(), rate=0.5, alpha=0.7)
    assert after < before


def state_of(model):
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def equal(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def test_on_an_encoder_the_gradient_is_that_of_the_unrolled_step(guided, tiny_bert, keyword_features):
    """Against finite differences along the gradient itself, with the usual terms in float32."""
    features = keyword_features()
    student, model = tiny_bert(layers=1, seed=2).eval(), tiny_bert(seed=1).eval()
    with torch.no_grad():
        for each in (student, model):
            each.classifier.weight.mul_(20)
    batch, quiz = (collate(features, pad_id=0, rows=rows) for rows in (range(16), range(16, 40)))
    batch = batch._replace(rows=list(batch.rows))
    parameters, rate = list(model.parameters()), 0.5

    def objective(teacher):
        return guided(teacher, soft=0.7, hard=0.3, temperature=2.0)

    def after_a_step():
        teacher = Teacher(model, moving=True)
        copied = tiny_bert(layers=1, seed=2).eval()
        copied.load_state_dict(student.state_dict())
        loss = objective(teacher).loss(copied, batch, copied(**batch.inputs), KIND)
        loss.backward()
        with torch.no_grad():
            for value in copied.parameters():
                if value.grad is not None:
                    value -= rate * value.grad
            return KIND.loss(copied(**quiz.inputs), quiz.targets).item()

    moving = Teacher(model, moving=True)
    with differentiable(student), differentiable(model):
        slopes = teacher_gradients(
            student, moving, parameters, batch=batch, quiz=quiz, kind=KIND, objective=objective(moving), rate=rate
        )
    assert any(slope is not None for slope in slopes)
    norm = torch.sqrt(sum((slope.square().sum() for slope in slopes if slope is not None), torch.tensor(0.0))).item()
    step = 0.05
    found = []
    for sign in (1, -1):
        with torch.no_grad():
            for value, slope in zip(parameters, slopes, strict=True):
                if slope is not None:
                    value += sign * step * slope / norm
        found.append(after_a_step())
        with torch.no_grad():
            for value, slope in zip(parameters, slopes, strict=True):
                if slope is not None:
                    value -= sign * step * slope / norm
    assert (found[0] - found[1]) / (2 * step) == pytest.approx(norm, rel=0.02)


class Watch(Hook):
    """What the student is before its first real step."""

    def __init__(self):
        self.before = None
        self.modes = None

    def before_step(self, state):
        if self.before is None:
            self.before = state_of(state.model)
            self.modes = state.model.training


def distil(guided, student, model, features, *, rate=1e-3, hooks=(), learning_rate=1e-3):
    teacher = Teacher(model, moving=True)
    beside = Beside(
        model, plan=PLAN.model_copy(update={"learning_rate": learning_rate, "weight_decay": 0.0}), seed=SEED
    )
    every = {"kind": KIND, "pad_id": 0, "plan": PLAN, "seed": SEED, "device": "cpu"}
    asked = features[:32]
    hook = MetaTeaching(teacher, beside, quiz=lambda steps: batches(asked, steps=steps, **every), rate=rate, seed=SEED)
    objective = guided(teacher, soft=0.5, hard=0.5, temperature=2.0)
    return train(student, features[32:], objective=objective, hooks=[hook, *hooks], **every)


def test_the_student_takes_its_real_step_from_where_it_was(guided, tiny_bert, keyword_features):
    student, watch = tiny_bert(layers=2, seed=2), Watch()
    before = state_of(student)
    distil(guided, student, tiny_bert(seed=1), keyword_features(), hooks=[watch])
    assert equal(watch.before, before)
    assert watch.modes
    assert not equal(state_of(student), before)


def test_with_a_teacher_that_does_not_move_it_is_plain_distillation_to_the_bit(guided, tiny_bert, keyword_features):
    """At rate 0 of the assumed step the teacher's gradient is zero, and the student draws its own dropout."""
    features = keyword_features()
    student, plain = tiny_bert(layers=2, seed=2), tiny_bert(layers=2, seed=2)
    model = tiny_bert(seed=1)
    before = state_of(model)
    distil(guided, student, model, features, rate=0.0)
    assert equal(state_of(model), before)
    teacher = Teacher(tiny_bert(seed=1), moving=True)
    objective = guided(teacher, soft=0.5, hard=0.5, temperature=2.0)
    train(plain, features[32:], kind=KIND, pad_id=0, plan=PLAN, seed=SEED, device="cpu", objective=objective)
    assert equal(state_of(student), state_of(plain))


def test_the_assumed_step_has_another_dropout_than_the_real_one(guided, tiny_bert, keyword_features):
    """The released code runs the student twice, and each run draws masks of its own."""
    seen = []
    student = tiny_bert(layers=2, seed=2)
    student.register_forward_hook(lambda module, inputs, outputs: seen.append((module.training, outputs.logits)))
    distil(guided, student, tiny_bert(seed=1), keyword_features(), rate=0.0, learning_rate=1e-6)
    assumed, real = [logits for training, logits in seen[:3] if training]
    assert assumed.shape == real.shape
    assert not torch.equal(assumed, real)


def test_the_teacher_moves_and_stays_in_evaluation_mode(guided, tiny_bert, keyword_features):
    model = tiny_bert(seed=1)
    before = state_of(model)
    distil(guided, tiny_bert(layers=2, seed=2), model, keyword_features())
    assert not equal(state_of(model), before)
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_teacher_that_no_term_asks_is_refused(tiny_bert, keyword_features):
    teacher = Teacher(tiny_bert(seed=1), moving=True)
    every = {"kind": KIND, "pad_id": 0, "plan": PLAN, "seed": SEED, "device": "cpu"}
    features = keyword_features()
    hook = MetaTeaching(
        teacher,
        Beside(teacher.model, plan=PLAN, seed=SEED),
        quiz=lambda steps: batches(features[:32], steps=steps, **every),
        rate=1e-3,
        seed=SEED,
    )
    with pytest.raises(TrainingError, match="does not depend on its teacher"):
        train(tiny_bert(layers=2, seed=2), features[32:], hooks=[hook], **every)


def test_a_step_with_a_meta_teacher_costs_at_most_five_plain_ones(guided, tiny_bert, keyword_features):
    """Multiplications and additions of matrix products, in a whole training of each kind."""
    from torch.utils.flop_counter import FlopCounterMode

    features = keyword_features(64)
    every = {"kind": KIND, "pad_id": 0, "plan": PLAN, "seed": SEED, "device": "cpu"}
    with FlopCounterMode(display=False) as meta:
        distil(guided, tiny_bert(layers=2, seed=2), tiny_bert(seed=1), features)
    teacher = Teacher(tiny_bert(seed=1), moving=True)
    objective = guided(teacher, soft=0.5, hard=0.5, temperature=2.0)
    with FlopCounterMode(display=False) as plain:
        train(tiny_bert(layers=2, seed=2), features[32:], objective=objective, **every)
    assert 2 < meta.get_total_flops() / plain.get_total_flops() < 5
