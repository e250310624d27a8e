"""A halting stack against adaptive computation time written as a loop over single positions, and its corner cases."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from bench.base.errors import ModelError
from bench.layers.halting import HaltingStack, coordinates

BATCH, LENGTH, WIDTH = 3, 5, 8


class Mixing(nn.Module):
    """A layer in which every position sees the others that are not padding."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden, attention_mask=None):
        seen = torch.ones(hidden.shape[:2]) if attention_mask is None else attention_mask[:, 0, 0].float()
        mean = (hidden * seen[..., None]).sum(1, keepdim=True) / seen.sum(1)[:, None, None]
        return torch.tanh(self.dense(hidden) + mean)


@pytest.fixture
def make():
    def build(steps=6, *, spread=1.0, bias=-0.5, shared=True, **options):
        torch.manual_seed(3)
        layer = Mixing()
        stack = HaltingStack(WIDTH, **options).adopt([layer] * steps if shared else [Mixing() for _ in range(steps)])
        with torch.no_grad():
            stack.weight.copy_(torch.randn(1, WIDTH) * spread)
            stack.bias.fill_(bias)
        return stack.eval()

    return build


@pytest.fixture
def hidden():
    return torch.randn(BATCH, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1))


def one_at_a_time(stack, hidden, mask=None):
    """The equations of Graves 2016 and Dehghani et al. 2019, a position and a step at a time, with plain numbers."""
    layers = list(stack._modules.values())
    state, output = hidden.clone(), torch.zeros_like(hidden)
    spent = {(b, i): 0.0 for b in range(len(hidden)) for i in range(hidden.size(1))}
    if mask is not None:
        spent = {key: value for key, value in spent.items() if mask[key[0], 0, 0, key[1]]}
    steps, remainder, alive = dict.fromkeys(spent, 0), dict.fromkeys(spent, 0.0), set(spent)
    for step, layer in enumerate(layers):
        moved = state + coordinates(hidden.size(1), step, WIDTH) if stack.coordinates else state
        after = layer(moved, mask)
        for key in sorted(alive):
            p = torch.sigmoid(moved[key] @ stack.weight[0] + stack.bias[0]).item()
            steps[key] += 1
            if spent[key] + p > 1 - stack.epsilon or step == len(layers) - 1:
                remainder[key] = p = 1 - spent[key]
                alive.discard(key)
            spent[key] += p
            output[key] += p * after[key]
            state[key] = after[key]
        if not alive:
            break
    for b, i in {(b, i) for b in range(len(hidden)) for i in range(hidden.size(1))} - set(spent):
        output[b, i] = hidden[b, i]
    return output, steps, remainder, spent


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("padded", [False, True])
def test_the_output_is_that_of_the_equations_written_for_single_positions(make, hidden, shared, padded):
    stack = make(shared=shared, coordinates=padded)
    mask = torch.ones(BATCH, 1, LENGTH, LENGTH, dtype=torch.bool) if padded else None
    if padded:
        mask[1, :, :, 3:] = False
    with torch.no_grad():
        output, steps, _, spent = one_at_a_time(stack, hidden, mask)
        torch.testing.assert_close(stack(hidden, mask), output, rtol=1e-5, atol=1e-5)
    assert len(set(steps.values())) > 2
    rows = [max(count for (b, _), count in steps.items() if b == row) for row in range(BATCH)]
    assert stack.executed_layers().tolist() == rows
    assert all(math.isclose(value, 1.0, abs_tol=1e-6) for value in spent.values())


@pytest.mark.parametrize("bias", [-8.0, -0.5, 0.0, 4.0])
def test_the_weights_of_every_position_sum_to_one_also_where_it_reaches_the_last_step(make, hidden, bias):
    stack = make(bias=bias)
    stack(hidden)
    assert (stack.weights >= 0).all()
    torch.testing.assert_close(stack.weights.sum(-1), torch.ones(BATCH, LENGTH))


def test_one_step_without_halting_is_one_layer(make, hidden):
    plain = make(1, adaptive=False, coordinates=False)
    assert torch.equal(plain(hidden), plain[0](hidden))
    moved = make(1, adaptive=False)
    assert torch.equal(moved(hidden), moved[0](hidden + coordinates(LENGTH, 0, WIDTH)))
    assert plain.executed_layers().tolist() == [1] * BATCH


def test_one_step_with_halting_is_one_layer_too(make, hidden):
    stack = make(1, coordinates=False)
    torch.testing.assert_close(stack(hidden), stack[0](hidden))


def test_parameters_do_not_depend_on_the_number_of_steps(make):
    sizes = {sum(parameter.numel() for parameter in make(steps).parameters()) for steps in (1, 3, 12)}
    assert sizes == {WIDTH * WIDTH + WIDTH + WIDTH + 1}


def test_easy_inputs_take_fewer_steps_than_hard_ones_and_nobody_more_than_there_are(make):
    stack = make(8, bias=0.0, coordinates=False)
    with torch.no_grad():
        stack.weight.fill_(0)
        stack.weight[0, 0] = 8.0
    easy, hard = torch.zeros(1, LENGTH, WIDTH), torch.zeros(1, LENGTH, WIDTH)
    easy[..., 0], hard[..., 0] = 1.0, -1.0
    stack(torch.cat([easy, hard]))
    few, many = stack.executed_layers().tolist()
    assert few == 1 < many <= 8


def test_a_row_comes_out_the_same_alone_and_beside_rows_that_run_longer(make, hidden):
    stack = make()
    together = stack(hidden)
    steps = stack.executed_layers().tolist()
    assert len(set(steps)) > 1
    for row in range(BATCH):
        torch.testing.assert_close(stack(hidden[row : row + 1])[0], together[row])
        assert stack.executed_layers().tolist() == [steps[row]]


def test_padding_never_runs_and_changes_nothing(make, hidden):
    stack = make()
    mask = torch.zeros(BATCH, 1, LENGTH + 2, LENGTH + 2)
    mask[..., LENGTH:] = torch.finfo(torch.float32).min
    padded = torch.cat([hidden, torch.full((BATCH, 2, WIDTH), 7.0)], dim=1)

    class Cut(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x, mask):
            return torch.cat([self.inner(x[:, :LENGTH]), x[:, LENGTH:] * 3], dim=1)

    masked = copy.deepcopy(stack)
    for index in range(6):
        masked[index] = Cut(stack[0])
    out = masked(padded, mask)
    torch.testing.assert_close(out[:, :LENGTH], stack(hidden))
    assert torch.equal(out[:, LENGTH:], padded[:, LENGTH:])


def test_a_forced_number_of_layers_is_what_runs_and_ends_with_the_context(make, hidden):
    stack = make()
    free = stack(hidden)
    for layers in (1, 4, 6):
        with stack.leaving_after(layers):
            stack(hidden)
        assert stack.executed_layers().tolist() == [layers] * BATCH
        torch.testing.assert_close(stack.weights.sum(-1), torch.ones(BATCH, LENGTH))
    torch.testing.assert_close(stack(hidden), free)


def test_the_ponder_cost_is_steps_plus_remainder_and_falls_along_its_gradient(make, hidden):
    stack = make(bias=-1.5).train()
    stack(hidden)
    cost = stack.ponder()
    with torch.no_grad():
        _, steps, remainder, _ = one_at_a_time(stack, hidden)
    expected = sum(steps[key] + remainder[key] for key in steps) / len(steps)
    assert cost.item() == pytest.approx(expected, rel=1e-5)
    cost.backward()
    assert stack.bias.grad.item() < 0  # a higher bias halts sooner and leaves a smaller remainder


def test_the_ponder_cost_is_taken_once_and_only_after_training_steps(make, hidden):
    stack = make()
    stack(hidden)
    with pytest.raises(ModelError, match="has not run in training"):
        stack.ponder()
    stack.train()(hidden)
    stack.ponder()
    with pytest.raises(ModelError, match="has not run in training"):
        stack.ponder()


def test_a_stack_that_never_ran_does_not_say_how_deep_it_runs(make):
    with pytest.raises(ModelError, match="has not run yet"):
        make().executed_layers()


def test_a_copy_after_training_shares_the_layer_and_drops_the_graph(make, hidden):
    stack = make().train()
    stack(hidden)
    twin = copy.deepcopy(stack)
    assert len({id(layer) for layer in twin._modules.values()}) == 1
    assert twin._ponder is None
    torch.testing.assert_close(twin.eval()(hidden), stack.eval()(hidden))


def test_coordinates_are_the_sinusoids_of_position_and_step():
    found = coordinates(4, 2, 6)
    for i in range(4):
        for j in range(3):
            rate = 10000 ** (-2 * j / 6)
            assert found[i, 2 * j] == pytest.approx(math.sin((i + 1) * rate) + math.sin(3 * rate), abs=1e-6)
            assert found[i, 2 * j + 1] == pytest.approx(math.cos((i + 1) * rate) + math.cos(3 * rate), abs=1e-6)
    assert coordinates(4, 2, 5).shape == (4, 5)


def test_a_mask_of_another_form_is_refused(make, hidden):
    with pytest.raises(ModelError, match="2 or 4 dimensions"):
        make()(hidden, torch.ones(BATCH, LENGTH, LENGTH))
