"""Rounds of timing in several processes: oracle by hand, by simulation, and real fresh processes."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from bench.base.statistics import Interval
from bench.measures.timing import rounds
from bench.measures.timing.pairs import SpeedUp
from bench.measures.timing.steady import UNCERTAIN
from bench.measures.timing.watch import Seen, joined
from bench.spec.setting import Measuring

T4 = 2.776445  # 97.5 % quantile of Student's t with four degrees of freedom


def one(ratio, *, half=0.001, invalid=None, reference_s=1.0):
    interval = Interval(ratio, ratio * math.exp(-half), ratio * math.exp(half))
    return SpeedUp(interval, reference_s / ratio, reference_s, 1.01, 10, 1, invalid)


def test_the_interval_knows_how_processes_differ():
    ratios = [1.497, 1.463, 1.536, 1.490, 1.426]
    found = rounds.together([one(ratio) for ratio in ratios])
    logs = [math.log(ratio) for ratio in ratios]
    half = T4 * statistics.stdev(logs) / math.sqrt(5)
    assert found.ratio.middle == pytest.approx(math.exp(statistics.fmean(logs)))
    assert found.ratio.low == pytest.approx(math.exp(statistics.fmean(logs) - half), rel=1e-6)
    assert found.ratio.high == pytest.approx(math.exp(statistics.fmean(logs) + half), rel=1e-6)
    assert found.reference_s / found.artifact_s == pytest.approx(found.ratio.middle)
    assert (found.measured, found.dropped, found.invalid) == (50, 5, None)


def test_processes_that_agree_by_chance_keep_the_width_that_their_pairs_have():
    found = rounds.together([one(2.0, half=0.02)] * 4)
    assert found.ratio.middle == pytest.approx(2.0)
    assert math.log(found.ratio.high / found.ratio.low) / 2 == pytest.approx(0.02 / 2)


def test_one_process_has_the_interval_of_its_pairs():
    assert rounds.together([one(2.0, half=0.02)]) == one(2.0, half=0.02)
    with pytest.raises(ValueError, match="no round"):
        rounds.together([])


@pytest.mark.parametrize(("broken", "valid"), [(2, True), (3, False)])
def test_a_few_processes_that_never_settled_are_left_out_and_most_make_it_invalid(broken, valid):
    found = rounds.together([one(9.0, invalid="never settled")] * broken + [one(2.0)] * (5 - broken))
    assert (found.invalid is None) == valid
    if valid:
        assert found.ratio.middle == pytest.approx(2.0)
    else:
        assert found.invalid == f"in {broken} of 5 processes: never settled"


def test_the_spread_of_processes_is_the_t_interval_of_their_logarithms():
    values = [0.9, 1.0, 1.1, 1.0, 1.05]
    logs = [math.log(value) for value in values]
    assert rounds.spread(values) == pytest.approx(math.exp(T4 * statistics.stdev(logs) / math.sqrt(5)), rel=1e-6)
    assert rounds.spread([1.0]) is None


@pytest.mark.parametrize("between", [0.0, 0.01, 0.05])
def test_the_interval_contains_the_true_ratio_in_95_of_100_runs(between):
    draws, held = np.random.default_rng(1), 0
    for _ in range(400):
        errors = draws.normal(scale=between, size=5) + draws.normal(scale=0.01, size=5)
        found = rounds.together([one(1.5 * math.exp(error), half=1.96 * 0.01) for error in errors])
        held += found.ratio.low <= 1.5 <= found.ratio.high
    # Binomial with 400 trials at 95 %: 367 or fewer has a probability below 0.5 %. Without processes that differ the
    # wider of two intervals is taken, which holds more often.
    assert held >= 367


@pytest.mark.parametrize(("slow", "valid"), [(2, True), (3, False)])
def test_a_process_in_which_both_models_were_slow_all_the_time_does_not_count(slow, valid):
    disturbed = [one(1.8, reference_s=1.2)] * slow  # the reference 20 % slower than in the fastest process
    found = rounds.together([*disturbed, *[one(2.0)] * (5 - slow)])
    assert (found.invalid is None) == valid
    if valid:
        assert found.ratio.middle == pytest.approx(2.0)
    else:
        assert "at least 20% longer" in found.invalid
    assert rounds.together([one(1.95, reference_s=1.09), one(2.0)]).ratio.middle < 2.0  # 9 % may be the layout


def test_each_process_has_its_share_of_pairs_seconds_and_patience():
    plan = rounds.share_of(Measuring(country="DEU", processes=4, pairs=70, seconds=2.0, patience_seconds=20.0))
    assert plan == (18, 0.5, 5.0, pytest.approx(2 * UNCERTAIN))
    assert rounds.share_of(Measuring(country="DEU", processes=5, pairs=5)).pairs == 5
    names = rounds.names(3)
    assert [rounds.number_of(name) for name in names] == [0, 1, 2]


def test_models_are_loaded_in_an_order_that_differs_between_processes_and_given_back_in_their_own():
    orders = set()
    for seed in range(8):
        order = []

        def load(path, order=order):
            order.append(path)
            return path

        assert rounds.load_apart(["artifact", "reference"], load, seed=seed) == ["artifact", "reference"]
        orders.add(tuple(order))
    assert len(orders) == 2


def test_another_process_has_another_layout_of_memory(monkeypatch):
    import torch

    made = []
    real = torch.empty

    def noted(size, **more):
        made.append(size)
        return real(size, **more)

    monkeypatch.setattr(torch, "empty", noted)
    sizes = []
    for seed in (0, 1, 0):
        made.clear()
        with rounds.laid_out(seed):
            sizes.append(list(made))
    assert sizes[0] == sizes[2] != sizes[1]
    assert max(max(each) for each in sizes) < 2**20


def test_what_processes_saw_of_the_machine_is_weighted_by_their_seconds():
    quiet = Seen(seconds=3.0, steal=0.0, other=0.0, switches_per_s=1.0, frequency_change=0.01, throttled=None)
    busy = Seen(seconds=1.0, steal=0.04, other=0.4, switches_per_s=5.0, frequency_change=-0.1, throttled=2)
    assert joined([quiet, busy]) == Seen(
        seconds=4.0, steal=0.01, other=0.1, switches_per_s=2.0, frequency_change=-0.1, throttled=2
    )
    unknown = Seen(seconds=1.0, steal=None, other=0.0, switches_per_s=None, frequency_change=None, throttled=None)
    assert joined([quiet, unknown]).steal is None
