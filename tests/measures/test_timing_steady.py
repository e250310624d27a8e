from __future__ import annotations

import pytest
from made_clock import Clock

from bench.measures.timing.steady import BRIEF_PAIRS, Clocks, Side, summary, time_briefly, time_steadily


def timed(artifact_s, reference_s, *, way=time_steadily, **more):
    clock = Clock()
    sides = [Side(None, clock.stub(seconds)) for seconds in (artifact_s, reference_s)]
    plan = {"pairs": 10, "seconds": 1.0, "patience_s": 60.0} if way is time_steadily else {"seconds": 1.0}
    clocks = Clocks(wall=clock, processor=clock)
    return way(*sides, **{**plan, **more}, seed=0, device="cpu", clocks=clocks), clock


def test_timing_ends_at_once_where_the_machine_is_settled():
    found, clock = timed(0.25, 0.5)
    assert found.result.ratio.middle == 2.0
    assert len(found.pairs) == 10
    assert summary(found.result)["verdict"] == "valid"
    assert clock.now < 20


def test_timing_goes_on_while_the_machine_does_not_settle_and_ends_when_it_does():
    def until(quiet_from):
        return lambda now: 0.01 * (1 + 9 * (now * 7919 % 1) ** 2 * (now < quiet_from))

    found, clock = timed(until(12), until(12))
    assert found.result.invalid is None
    assert 12 < clock.now < 40
    assert found.result.ratio.middle == pytest.approx(1.0, rel=0.03)


def test_timing_gives_up_when_patience_ends_and_says_why():
    def busy(now):
        return 0.01 * 1.3 ** (20 * (now * 7919 % 1))

    found, clock = timed(busy, busy, patience_s=6.0)
    assert 6 <= clock.now < 20
    assert "never became stable" in found.result.invalid
    assert summary(found.result)["verdict"].startswith("invalid: the timing never became stable")


def test_a_short_look_takes_a_few_single_calls():
    found, _ = timed(0.25, 0.5, way=time_briefly)
    assert len(found) == BRIEF_PAIRS
    assert found.ratios == [2.0] * BRIEF_PAIRS


@pytest.mark.parametrize(("device", "threads", "same"), [("cpu", 1, False), ("cpu", 2, True), ("cuda", 1, True)])
def test_time_off_the_processor_counts_only_where_one_thread_does_the_work(device, threads, same):
    clocks = Clocks().on(device, threads)
    assert (clocks.processor is clocks.wall) == same
