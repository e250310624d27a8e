from __future__ import annotations

import os
import time

import pytest
import torch
from made_clock import Clock

from bench.base.errors import UnavailableError
from bench.base.statistics import median
from bench.measures.timing.calls import block_size, forward, pinned, time_calls, warm_up


def test_a_sleeping_stub_of_10_ms_measures_10_ms_within_a_fifth():
    assert median(time_calls(lambda: time.sleep(0.010), 15, time.perf_counter)) == pytest.approx(0.010, rel=0.2)


def test_warm_up_goes_on_while_calls_become_faster_and_then_stops():
    clock = Clock()
    times = iter([1.0, 0.9, 0.8, 0.7, 0.6] + [0.5] * 100)
    found = warm_up(clock.stub(lambda _: next(times)), clock=clock, limit_s=100)
    assert found == (15, 0.5, True)


def test_warm_up_without_end_is_cut_and_says_that_it_was_not_steady():
    clock = Clock()
    seconds = iter([0.9**step for step in range(1000)])
    found = warm_up(clock.stub(lambda _: next(seconds)), clock=clock, limit_s=6.0)
    assert (found.calls, found.steady) == (10, False)
    seconds = iter([0.9**step for step in range(1000)])
    assert warm_up(clock.stub(lambda _: next(seconds)), clock=clock, limit_s=1e9).calls == 100


@pytest.mark.parametrize(("call_s", "calls"), [(1.0, 1), (0.004, 1), (0.001, 4), (0.0011, 4), (1e-9, 64), (0.0, 64)])
def test_a_block_lasts_about_its_length_and_has_at_least_one_call(call_s, calls):
    assert block_size(call_s, 0.004) == calls


def test_forward_gives_what_the_model_gives(tiny_bert):
    model, inputs = tiny_bert(), {"input_ids": torch.tensor([[5, 6, 7]])}
    with torch.no_grad():
        assert torch.equal(forward(model, inputs, "cpu")().logits, model(**inputs).logits)


def test_a_device_that_cannot_be_waited_for_is_not_timed(tiny_bert):
    with pytest.raises(UnavailableError, match=r"device 'meta': cannot be synchronised.*cuda, mps, cpu"):
        forward(tiny_bert(), {}, "meta")


def test_threads_and_processors_are_pinned_and_given_back_even_after_an_error():
    before, allowed, inside = torch.get_num_threads(), os.sched_getaffinity(0), []

    def fail_pinned():
        with pinned(1) as processors:
            inside.append((torch.get_num_threads(), set(processors), os.sched_getaffinity(0)))
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail_pinned()
    (threads, said, processors) = inside[0]
    assert threads == len(processors) == 1
    assert said == processors <= allowed
    assert (torch.get_num_threads(), os.sched_getaffinity(0)) == (before, allowed)


def test_more_threads_than_processors_are_not_pinned_to_any():
    allowed = os.sched_getaffinity(0)
    with pinned(len(allowed) + 1) as processors:
        assert processors == ()
        assert os.sched_getaffinity(0) == allowed


def test_the_device_is_waited_for_at_the_end_of_every_call(tiny_bert, monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    call = forward(lambda **_: "output", {}, "cuda")
    assert len(waited) == 1  # what came before does not count
    assert [call(), call()] == ["output", "output"]
    assert waited == [torch.device("cuda")] * 3
