from __future__ import annotations

import dataclasses

import pytest
import torch

from bench.base.errors import TrainingError
from bench.spec.setting import Training
from bench.tasks.kinds.sequence import Classification, Regression
from bench.training.hooks import Hook
from bench.training.loop import train


@pytest.fixture
def run(keyword_features):
    def go(model, features=None, *, epochs=1.0, kind=None, **options):
        plan = Training(
            epochs=epochs, batch_size=options.pop("batch_size", 16), learning_rate=options.pop("rate", 2e-3)
        )
        data = keyword_features() if features is None else features
        options = {"seed": 0, "device": "cpu", **options}
        return train(model, data, kind=kind or Classification(), pad_id=0, plan=plan, **options)

    return go


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


class Recorder(Hook):
    def __init__(self):
        self.seen = []

    def before_step(self, state):
        self.seen.append(("before_step", state.step, state.model.training))

    def after_backward(self, state):
        grown = any(parameter.grad is not None for parameter in state.model.parameters())
        self.seen.append(("after_backward", state.step, grown))

    def after_step(self, state):
        self.seen.append(("after_step", state.step, state.optimizer.param_groups[0]["lr"]))

    def on_evaluate(self, state):
        self.seen.append(("on_evaluate", state.step, state.model.training))


def test_training_learns_the_keyword(tiny_bert, run, keyword_features):
    model = tiny_bert(layers=1)
    log = run(model, keyword_features(384), epochs=8, rate=5e-3, batch_size=32)
    ids = torch.tensor([[2, 20, 10, 30, 3], [2, 20, 11, 30, 3]])
    with torch.inference_mode():
        assert model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.argmax(-1).tolist() == [1, 0]
    assert sum(log.losses[-10:]) < 0.5 * sum(log.losses[:10])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny_bert, run):
    models = [tiny_bert() for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        run(model, seed=seed)
    assert equal(weights(models[0]), weights(models[1]))
    assert not equal(weights(models[0]), weights(models[2]))


def test_the_global_random_state_is_left_as_it_was_and_not_read(tiny_bert, run):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = tiny_bert()
    run(first)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    second = tiny_bert()
    run(second)
    assert equal(weights(first), weights(second))


@pytest.mark.parametrize(("epochs", "steps"), [(1.0, 6), (2.5, 15), (0.5, 3), (0.01, 1)])
def test_steps_are_epochs_times_batches_and_at_least_one(tiny_bert, run, epochs, steps):
    log = run(tiny_bert(layers=1), epochs=epochs)  # 96 examples in batches of 16
    assert log.steps == len(log.losses) == steps
    assert log.final_loss == log.losses[-1]


def test_hooks_are_called_in_order_with_dropout_on_and_then_off(tiny_bert, run):
    recorder = Recorder()
    model = tiny_bert(layers=1)
    run(model, epochs=1 / 3, hooks=[recorder])
    assert [(name, step) for name, step, _ in recorder.seen] == [
        *[(name, step) for step in (0, 1) for name in ("before_step", "after_backward", "after_step")],
        ("on_evaluate", 2),
    ]
    assert all(flag for name, _, flag in recorder.seen if name in ("before_step", "after_backward"))
    assert recorder.seen[-1][2] is False
    assert not model.training


def test_no_gradients_are_left_behind(tiny_bert, run):
    model = tiny_bert(layers=1)
    run(model)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_frozen_parameters_stay_bit_equal(tiny_bert, run):
    model = tiny_bert(layers=2)
    model.bert.embeddings.requires_grad_(False)
    before = weights(model)
    run(model)
    changed = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert not any(name.startswith("bert.embeddings") for name in changed)
    assert "bert.encoder.layer.0.output.dense.weight" in changed


def test_only_the_given_parameters_are_optimized(tiny_bert, run):
    model = tiny_bert(layers=1)
    before = weights(model)
    run(model, parameters=model.classifier.parameters())
    changed = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_each_epoch_sees_every_example_once(tiny_bert, run, keyword_features):
    features = keyword_features(50)
    seen = []

    class Kind(Classification):
        def loss(self, outputs, targets):
            seen.append(len(targets["labels"]))
            return super().loss(outputs, targets)

    run(tiny_bert(layers=1), features, epochs=2, kind=Kind())
    assert sum(seen) == 100
    assert sorted(seen) == [2, 2, 16, 16, 16, 16, 16, 16]


def test_a_loss_that_is_not_a_number_stops_training_and_names_the_step(tiny_bert, run, keyword_features):
    *features, last = keyword_features(32, label=float)
    broken = [*features, dataclasses.replace(last, targets={"labels": float("nan")})]
    model = tiny_bert(1)
    with pytest.raises(TrainingError, match=r"the loss of step [12] of 2 is nan\. Lower learning_rate"):
        run(model, broken, kind=Regression())
    assert not model.training


def test_an_empty_training_split_is_refused(tiny_bert, run):
    with pytest.raises(TrainingError, match="no training examples"):
        run(tiny_bert(), [])


def test_a_model_without_anything_to_train_is_refused(tiny_bert, run):
    with pytest.raises(TrainingError, match="nothing to train"):
        run(tiny_bert().requires_grad_(False))


def test_progress_ends_at_the_whole(tiny_bert, run):
    told = []
    run(tiny_bert(layers=1), epochs=4, progress=lambda text, share: told.append((text, share)))
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1][1] == 1.0
    assert told[-1][0].startswith("step 24 of 24, loss ")
