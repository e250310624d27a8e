from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.training.optimizer import clip_gradients, make_optimizer, rate_at


def test_the_rate_rises_to_the_peak_and_falls_without_an_idle_step():
    rates = [rate_at(step, 10, peak=1.0, warmup=0.2) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


def test_without_warm_up_the_first_step_has_the_peak():
    assert [rate_at(step, 4, peak=2.0, warmup=0.0) for step in range(4)] == [2.0, 1.5, 1.0, 0.5]


@pytest.mark.parametrize("total", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 0.99])
def test_every_rate_is_positive_and_at_most_the_peak(total, warmup):
    rates = [rate_at(step, total, peak=3e-4, warmup=warmup) for step in range(total)]
    assert all(0 < rate <= 3e-4 for rate in rates)


def test_biases_and_norms_are_not_decayed_and_shared_parameters_come_once(tiny_bert):
    model = tiny_bert(layers=2)
    model.bert.encoder.layer[1] = model.bert.encoder.layer[0]
    optimizer = make_optimizer(model, learning_rate=1e-3, weight_decay=0.01)
    decayed, plain = (group["params"] for group in optimizer.param_groups)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    assert all(parameter.dim() > 1 for parameter in decayed)
    assert all(parameter.dim() == 1 for parameter in plain)
    assert len(decayed) + len(plain) == len({id(parameter) for parameter in model.parameters()})


def test_clipping_bounds_the_joint_norm_and_leaves_smaller_gradients_alone():
    layer = nn.Linear(2, 1)
    optimizer = make_optimizer(layer, learning_rate=1.0, weight_decay=0.0)
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    clip_gradients(optimizer, 10.0)
    assert layer.weight.grad.tolist() == [[3.0, 0.0]]
    clip_gradients(optimizer, 1.0)
    assert layer.weight.grad[0, 0].item() == pytest.approx(0.6, rel=1e-5)
    assert layer.bias.grad[0].item() == pytest.approx(0.8, rel=1e-5)
