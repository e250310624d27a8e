from __future__ import annotations

import copy

import pytest
import torch

from bench.models.adapter import adapter_for
from bench.spec.setting import Training
from bench.tasks.kinds.sequence import Classification
from bench.training.hooks import TrainState
from bench.training.loop import train
from bench.training.optimizer import make_optimizer
from bench.training.paths import Replaceable, ReplaceableLayers, ReplaceSchedule, ReplacingHook

KIND = Classification()


def setup(model, count=2, *, start=0.3, full_at=0.5, seed=0):
    adapter = adapter_for(model)
    layers = adapter.layers(model)
    successors = copy.deepcopy(layers[:count])
    for index, successor in enumerate(successors):
        with torch.no_grad():
            successor.output.dense.weight.add_(0.1 * (index + 1))
    size = len(layers) // count
    groups = [layers[place : place + size] for place in range(0, len(layers), size)]
    schedule = ReplaceSchedule(start=start, full_at=full_at)
    parts = ReplaceableLayers(model, adapter, groups, successors)
    hook = ReplacingHook(parts, schedule=schedule, seed=seed)
    return adapter, layers, successors, hook


def step(model, number, total, hook):
    """Let the hook choose the path of one step."""
    optimizer = make_optimizer(model, learning_rate=1e-3, weight_decay=0.0)
    hook.before_step(TrainState(model=model, optimizer=optimizer, step=number, total_steps=total, kind=KIND))


def output(model):
    ids = torch.tensor([[2, 10, 20, 30, 3]])
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def test_the_schedule_is_linear_clipped_at_one_and_scales_with_the_steps():
    schedule = ReplaceSchedule(start=0.3, full_at=0.5)
    assert [schedule.rate(step, 8) for step in range(8)] == pytest.approx([0.3, 0.475, 0.65, 0.825, 1, 1, 1, 1])
    assert schedule.rate(400, 1600) == pytest.approx(schedule.rate(2, 8))


def test_a_constant_schedule_stays_until_everything_is_replaced():
    schedule = ReplaceSchedule(start=0.5, full_at=0.5, constant=True)
    assert [schedule.rate(step, 8) for step in range(8)] == [0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1]


@pytest.mark.parametrize(("start", "full_at"), [(1.0, 0.5), (0.0, 0.0), (0.3, 0.0)])
def test_a_schedule_may_replace_everything_from_the_first_step(start, full_at):
    assert ReplaceSchedule(start=start, full_at=full_at).rate(0, 10) == 1.0


def test_rate_zero_runs_the_predecessors_and_rate_one_the_successors_exactly(tiny_bert):
    model, successors_only = tiny_bert(), tiny_bert()
    before = output(model)
    adapter, _, successors, hook = setup(model, start=0.0, full_at=0.5)
    adapter.set_layers(successors_only, copy.deepcopy(successors))
    step(model, 0, 10, hook)
    assert torch.equal(output(model), before)
    step(model, 5, 10, hook)
    assert torch.equal(output(model), output(successors_only))
    assert not torch.equal(output(model), before)


class Noted(Replaceable):
    """Two parts that only note what they are told to run."""

    count = 2

    def __init__(self):
        self.draws = []

    def run(self, replaced):
        self.draws.append(tuple(replaced))


def test_the_empirical_replace_rate_is_p_and_groups_are_independent():
    parts = Noted()
    hook = ReplacingHook(parts, schedule=ReplaceSchedule(start=0.3, full_at=1.0), seed=0)
    state = TrainState(model=None, optimizer=None, step=0, total_steps=10, kind=KIND)
    for _ in range(20_000):
        hook.before_step(state)
    first, second, both = (
        sum(chosen(draw) for draw in parts.draws) / len(parts.draws)
        for chosen in (lambda draw: draw[0], lambda draw: draw[1], all)
    )
    assert first == pytest.approx(0.3, abs=0.015)  # 4.6 standard errors of 0.0032
    assert second == pytest.approx(0.3, abs=0.015)
    assert both == pytest.approx(0.09, abs=0.01)


def test_the_path_of_a_step_follows_the_schedule(tiny_bert):
    model = tiny_bert()
    adapter, layers, successors, hook = setup(model, start=0.0, full_at=0.5)
    step(model, 0, 10, hook)
    assert adapter.layers(model) == layers
    step(model, 5, 10, hook)
    assert adapter.layers(model) == successors


def test_training_changes_successors_only_and_ends_with_them(tiny_bert, keyword_features):
    model = tiny_bert()
    adapter, layers, successors, hook = setup(model)
    model.requires_grad_(False)
    adapter.set_layers(model, successors)
    for successor in successors:
        successor.requires_grad_(True)
    frozen = {
        "predecessors": [copy.deepcopy(layer.state_dict()) for layer in layers],
        "rest": {name: tensor.clone() for name, tensor in model.state_dict().items() if "encoder" not in name},
    }
    begun = copy.deepcopy(successors[1].state_dict())
    plan = Training(epochs=2, batch_size=16, learning_rate=1e-3)
    train(model, keyword_features(), kind=Classification(), pad_id=0, plan=plan, seed=0, device="cpu", hooks=[hook])
    assert adapter.layers(model) == successors
    assert adapter.depth(model) == model.config.num_hidden_layers == 2
    for layer, state in zip(layers, frozen["predecessors"], strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in layer.state_dict().items())
    now = model.state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in frozen["rest"].items())
    assert not torch.equal(successors[1].state_dict()["output.dense.weight"], begun["output.dense.weight"])


def test_a_step_without_any_successor_changes_nothing_and_does_not_fail(tiny_bert, keyword_features):
    model = tiny_bert()
    adapter, _, successors, hook = setup(model, start=0.0, full_at=1.0)
    model.requires_grad_(False)
    adapter.set_layers(model, successors)
    for successor in successors:
        successor.requires_grad_(True)
    begun = copy.deepcopy([successor.state_dict() for successor in successors])
    plan = Training(epochs=0.1, batch_size=96, learning_rate=1e-3)  # one step, at rate 0
    log = train(
        model, keyword_features(), kind=Classification(), pad_id=0, plan=plan, seed=0, device="cpu", hooks=[hook]
    )
    assert log.steps == 1
    for successor, state in zip(successors, begun, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in successor.state_dict().items())
