from __future__ import annotations

import random
import time

import pytest
import torch

from bench.errors import UnavailableError
from bench.measures.timing import block_size, forward, interleave, pinned_threads, time_calls, warm_up
from bench.statistics import median


class Clock:
    """Seconds that pass only when a stub says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def stub(self, seconds, log=None, name=""):
        def call():
            self.now += seconds(self.now) if callable(seconds) else seconds
            if log is not None:
                log.append(name)

        return call


def interleaved(clock, artifact, reference, *, pairs=10, seconds=0.0, blocks=(1, 1), seed=0):
    return interleave(
        artifact, reference, blocks=blocks, pairs=pairs, seconds=seconds, order=random.Random(seed), clock=clock
    )


def test_a_sleeping_stub_of_10_ms_measures_10_ms_within_a_fifth():
    assert median(time_calls(lambda: time.sleep(0.010), 15, time.perf_counter)) == pytest.approx(0.010, rel=0.2)


def test_a_model_that_takes_twice_the_time_has_a_ratio_of_exactly_two():
    clock = Clock()
    found = interleaved(clock, clock.stub(0.25), clock.stub(0.5), blocks=(4, 2))
    assert found.ratios == [2.0] * 10
    assert found.artifact_s == [0.25] * 40
    assert found.reference_s == [0.5] * 20


def test_pairs_stop_only_when_both_the_count_and_the_duration_are_reached():
    clock = Clock()
    assert len(interleaved(clock, clock.stub(1.0), clock.stub(1.0), pairs=7, seconds=4.0).ratios) == 7
    assert len(interleaved(clock, clock.stub(1.0), clock.stub(1.0), pairs=2, seconds=40.0).ratios) == 20


def test_the_order_within_pairs_is_random_and_follows_the_seed():
    def order(seed):
        clock, log = Clock(), []
        interleaved(clock, clock.stub(1, log, "a"), clock.stub(1, log, "r"), pairs=50, seed=seed)
        return [first for first, _ in zip(log[::2], log[1::2], strict=True)]

    assert order(1) == order(1) != order(2)
    assert 10 < order(1).count("a") < 40


def test_a_drift_that_would_spoil_two_measurements_apart_cancels_in_the_paired_ratio():
    def slowing(clock, seconds):
        return clock.stub(lambda now: seconds * (1 + now))

    clock = Clock()
    paired = median(interleaved(clock, slowing(clock, 0.01), slowing(clock, 0.02), pairs=60).ratios)
    clock = Clock()
    before, after = (time_calls(slowing(clock, seconds), 60, clock) for seconds in (0.01, 0.02))
    assert paired == pytest.approx(2.0, rel=0.03)
    assert median(after) / median(before) > 3


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


def test_pinned_threads_are_given_back_even_after_an_error():
    before, inside = torch.get_num_threads(), []

    def fail_pinned():
        with pinned_threads(before + 1):
            inside.append(torch.get_num_threads())
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail_pinned()
    assert inside == [before + 1]
    assert torch.get_num_threads() == before


def test_forward_gives_what_the_model_gives(tiny_bert):
    model, inputs = tiny_bert(), {"input_ids": torch.tensor([[5, 6, 7]])}
    with torch.no_grad():
        assert torch.equal(forward(model, inputs, "cpu")().logits, model(**inputs).logits)


def test_a_device_that_cannot_be_waited_for_is_not_timed(tiny_bert):
    with pytest.raises(UnavailableError, match=r"device 'meta': cannot be waited for.*cuda, mps, cpu"):
        forward(tiny_bert(), {}, "meta")


def test_two_models_of_different_depth_are_told_apart(tiny_bert):
    inputs = {"input_ids": torch.full((8, 32), 7)}
    calls = [forward(tiny_bert(layers=depth), inputs, "cpu") for depth in (2, 8)]
    with torch.inference_mode():
        for call in calls:
            call()
        found = interleaved(time.perf_counter, *calls, pairs=15)
    assert median(found.ratios) > 1.5
