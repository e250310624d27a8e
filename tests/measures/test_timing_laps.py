from __future__ import annotations

import time
from types import SimpleNamespace

import torch
from made_clock import Clock
from torch import nn

from bench.measures.timing.calls import forward, lapped


class Sleeper(nn.Module):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return x


def laps_of(model, *, clock=time.perf_counter, device="cpu", lap_s=0.002, x=0):
    with lapped(model, lambda: model(x), clock=clock, device=device, lap_s=lap_s) as timed:
        return timed()


def test_laps_end_where_modules_return_and_add_up_to_the_call():
    model = nn.Sequential(Sleeper(0.004), Sleeper(0.012), Sleeper(0.006))
    start = time.perf_counter()
    laps = laps_of(model)
    assert len(laps) == 4  # the last one is what follows the last module
    assert all(lap >= slept for lap, slept in zip(laps, (0.004, 0.012, 0.006), strict=False))
    assert 0.022 <= sum(laps) < time.perf_counter() - start


def test_modules_that_return_sooner_than_a_lap_are_not_marked():
    clock, unit = Clock(), 2**-10

    class Part(nn.Module):
        def forward(self, x):
            clock.now += unit
            return x

    laps = laps_of(nn.Sequential(*(Part() for _ in range(12))), clock=clock, lap_s=4 * unit)
    assert laps == [4 * unit, 4 * unit, 4 * unit, 0.0]


def test_a_call_shorter_than_two_laps_is_one_lap():
    assert len(laps_of(nn.Sequential(Sleeper(0.001), Sleeper(0.001)), lap_s=0.01)) == 1


def test_a_shared_module_ends_a_lap_at_every_use():
    shared = Sleeper(0.004)
    assert len(laps_of(nn.Sequential(shared, shared, shared))) == 4


def test_a_device_that_runs_on_after_a_module_returns_has_one_lap_a_call():
    assert len(laps_of(nn.Sequential(Sleeper(0.004), Sleeper(0.004)), device="cuda")) == 1


def test_a_model_whose_path_changes_from_call_to_call_has_one_lap():
    class Wandering(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts, self.calls = nn.ModuleList([Sleeper(0.004), Sleeper(0.005)]), 0

        def forward(self, x):
            self.calls += 1
            return self.parts[self.calls % 2](x)

    assert len(laps_of(Wandering())) == 1


def test_no_hook_is_left_and_none_is_put_inside_a_fused_module():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    model, inside = nn.Sequential(nn.Linear(16, 16), layer), []

    def look():
        inside.extend(part for part in layer.modules() if part is not layer and part._forward_hooks)

    x = torch.zeros(1, 4, 16)
    with lapped(model, lambda: (look(), model(x)), clock=time.perf_counter, device="cpu", lap_s=0.0):
        assert inside == []
        assert layer._forward_hooks
    assert all(not part._forward_hooks for part in model.modules())


def test_what_is_not_a_module_has_one_lap():
    assert len(laps_of(lambda _: time.sleep(0.01))) == 1


def test_laps_leave_the_output_as_it_was(tiny_bert):
    model, ids = tiny_bert(), {"input_ids": torch.tensor([[5, 6, 7]])}
    call, outputs = forward(model, ids, "cpu"), []
    with torch.inference_mode():
        expected = call().logits
        holder = SimpleNamespace(call=lambda: outputs.append(call().logits))
        with lapped(model, holder.call, clock=time.perf_counter, device="cpu", lap_s=1e-6) as timed:
            assert len(timed()) > 2
    assert torch.equal(outputs[-1], expected)
