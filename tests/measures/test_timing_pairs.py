from __future__ import annotations

import random
import time

import numpy as np
import pytest
import torch
from made_clock import Clock

from bench.measures.timing.calls import forward, lapped
from bench.measures.timing.pairs import Pairs, Turn, drift, floor, interleave, laps_table, observed, speed_up


def interleaved(clock, artifact, reference, *, pairs=10, seconds=0.0, blocks=(1, 1), seed=0, cpu_clock=None):
    return interleave(
        artifact,
        reference,
        blocks=blocks,
        pairs=pairs,
        seconds=seconds,
        order=random.Random(seed),
        clock=clock,
        cpu_clock=cpu_clock or clock,
    )


def made(count, *, artifact=(0.010, 0.020), ratio=2.0, noise=None, lost_s=0.0, seed=0):
    """Pairs of single calls with known undisturbed laps; `noise(generator, laps)` gives the factor of each lap."""
    generator = np.random.default_rng(seed)
    factor = noise or (lambda generator, laps: 1 + 0.01 * generator.exponential(size=laps))
    pairs = Pairs()
    for _ in range(count):
        for turns, laps in ((pairs.artifact, artifact), (pairs.reference, [ratio * lap for lap in artifact])):
            seen = np.asarray(laps) * factor(generator, len(laps))
            turns.append(Turn((tuple(seen),), lost_s))
    return pairs


def found(pairs, seed=0):
    return speed_up(pairs, generator=np.random.default_rng(seed))


def test_a_model_that_takes_twice_the_time_has_a_ratio_of_exactly_two():
    clock = Clock()
    pairs = interleaved(clock, clock.timed(0.25), clock.timed(0.5), blocks=(4, 2))
    assert pairs.ratios == [2.0] * 10
    assert pairs.artifact_s == [0.25] * 40
    assert pairs.reference_s == [0.5] * 20
    result = found(pairs)
    assert (result.ratio.middle, result.ratio.low, result.ratio.high, result.invalid) == (2.0, 2.0, 2.0, None)


def test_pairs_stop_only_when_both_the_count_and_the_duration_are_reached():
    clock = Clock()
    assert len(interleaved(clock, clock.timed(1.0), clock.timed(1.0), pairs=7, seconds=4.0)) == 7
    assert len(interleaved(clock, clock.timed(1.0), clock.timed(1.0), pairs=2, seconds=40.0)) == 20


def test_the_order_within_pairs_is_random_and_follows_the_seed():
    def order(seed):
        clock, log = Clock(), []

        def named(name):
            return lambda: log.append(name) or [1.0]

        interleaved(clock, named("a"), named("r"), pairs=50, seed=seed)
        return [first for first, _ in zip(log[::2], log[1::2], strict=True)]

    assert order(1) == order(1) != order(2)
    assert 10 < order(1).count("a") < 40


def test_a_drift_that_would_spoil_two_measurements_apart_cancels_in_the_pairs_and_is_noticed():
    def slowing(clock, seconds):
        return clock.timed(lambda now: seconds * (1 + now / 4))

    clock = Clock()
    pairs = interleaved(clock, slowing(clock, 0.01), slowing(clock, 0.02), pairs=60)
    assert observed(pairs) == pytest.approx(2.0, rel=0.03)
    assert found(pairs).ratio.middle == pytest.approx(2.0, rel=0.03)
    assert pairs.reference_s[-1] / pairs.reference_s[0] > 1.4
    assert drift(pairs) > 0.15
    assert drift(made(60)) == pytest.approx(0, abs=0.01)


def test_the_floor_is_the_time_without_disturbance():
    def neighbours(generator, laps):  # four fifths of all laps are up to 60 % slower
        return np.where(generator.random(laps) < 0.8, 1 + generator.uniform(0.2, 0.6, size=laps), 1.0)

    pairs = made(100, artifact=(0.004,) * 10, noise=neighbours)
    laps = np.asarray([turn.laps[0] for turn in pairs.artifact])
    assert floor(laps) == pytest.approx(0.040, rel=0.001)
    assert min(pairs.artifact_s) > 0.045  # no whole call was ever undisturbed
    assert found(pairs).ratio.middle == pytest.approx(2.0, rel=0.001)


def test_the_interval_of_a_known_ratio_contains_it_and_narrows_with_pairs():
    def noise(generator, laps):
        return 1 + generator.gamma(2.0, 0.05, size=laps)

    hits, widths = 0, []
    for seed in range(20):
        few, many = (found(made(count, noise=noise, seed=seed), seed).ratio for count in (60, 400))
        hits += many.low <= 2.0 <= many.high
        widths.append(few.relative_width / many.relative_width)
    assert hits >= 17
    assert np.median(widths) > 1.5


def test_a_machine_that_never_settles_makes_the_ratio_invalid():
    def busy(generator, laps):
        return 1 + generator.gamma(3.0, 0.3, size=laps)

    result = found(made(80, noise=busy))
    assert result.invalid is not None
    assert "never became stable" in result.invalid
    assert result.flatness > 1.1 > found(made(80)).flatness


def test_pairs_that_lost_the_processor_are_dropped_and_counted():
    pairs = made(40)
    away = made(20, ratio=7.0, lost_s=0.01)
    pairs.artifact += away.artifact
    pairs.reference += away.reference
    result = found(pairs)
    assert (result.measured, result.dropped, result.invalid) == (60, 20, None)
    assert result.ratio.middle == pytest.approx(2.0, rel=0.01)
    assert result.ratio.high < 2.1


def test_a_ratio_of_pairs_most_of_which_lost_the_processor_is_invalid():
    result = found(made(30, lost_s=0.01))
    assert "interrupted 30 of 30 pairs" in result.invalid


def test_time_off_the_processor_is_wall_time_less_processor_time():
    clock, processor = Clock(), Clock()

    def call():
        clock.now += 1.0
        processor.now += 0.75
        return [1.0]

    pairs = interleaved(clock, call, call, pairs=3, blocks=(2, 1), cpu_clock=processor)
    assert [turn.lost_s for turn in pairs.artifact] == [0.5] * 3
    assert [turn.lost_s for turn in pairs.reference] == [0.25] * 3


def test_calls_with_unequal_laps_are_compared_whole():
    pairs = made(30)
    pairs.artifact[3] = Turn(((0.03,),), 0.0)
    assert found(pairs).ratio.middle == pytest.approx(2.0, rel=0.02)


def test_every_lap_is_kept_as_a_row():
    table = laps_table([made(3), made(2)])
    assert table["process"] == [0] * 6 + [1] * 4
    assert table["pair"] == [0, 1, 2] * 2 + [0, 1] * 2
    assert table["side"] == ["artifact"] * 3 + ["reference"] * 3 + ["artifact"] * 2 + ["reference"] * 2
    assert all(len(laps) == 2 for laps in table["lap_s"])


def test_two_models_of_different_depth_are_told_apart(tiny_bert):
    inputs = {"input_ids": torch.full((8, 32), 7)}
    models = [tiny_bert(layers=depth) for depth in (2, 8)]
    calls = [forward(model, inputs, "cpu") for model in models]
    with torch.inference_mode():
        for call in calls:
            call()
        timed = [lapped(*each, clock=time.perf_counter, device="cpu") for each in zip(models, calls, strict=True)]
        with timed[0] as short, timed[1] as long:
            pairs = interleaved(time.perf_counter, short, long, pairs=15, cpu_clock=time.perf_counter)
    assert found(pairs).ratio.middle > 1.5
