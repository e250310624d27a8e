from __future__ import annotations

import numpy as np
import pytest

from bench.statistics import bootstrap, mad, median, percentile, samples_needed


@pytest.mark.parametrize(("share", "count"), [(0.90, 64), (0.95, 130), (0.97, 219), (0.99, 662), (0.999, 6636)])
def test_percentiles_need_the_samples_of_mlperf_early_stopping(share, count):
    assert samples_needed(share) == count


def test_a_percentile_is_absent_one_sample_below_its_gate_and_present_at_it():
    values = np.random.default_rng(0).random(662).tolist()
    assert percentile(values[:63], 0.90) is None
    assert percentile(values[:64], 0.90) == np.quantile(values[:64], 0.90)
    assert percentile(values[:661], 0.99) is None
    assert percentile(values, 0.99) == np.quantile(values, 0.99)


def test_median_and_mad_by_hand():
    assert median([1.0, 9.0, 2.0]) == 2.0
    assert median([1.0, 2.0, 3.0, 10.0]) == 2.5
    assert mad([1.0, 2.0, 3.0, 10.0]) == 1.0  # deviations 1.5, 0.5, 0.5, 7.5


def test_the_bootstrap_interval_of_a_mean_is_that_of_normal_theory():
    values = np.random.default_rng(1).normal(10.0, 2.0, 400)
    found = bootstrap(values, generator=np.random.default_rng(2), statistic=np.mean)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.middle == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_bootstrap_interval_of_a_median_covers_the_true_one_about_as_often_as_it_says():
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        found = bootstrap(generator.exponential(1.0, 60), generator=generator, resamples=300)
        hits += found.low <= np.log(2) <= found.high
    assert 0.89 <= hits / 200 <= 0.99


def test_the_same_generator_state_gives_the_same_interval_and_a_constant_sample_has_no_width():
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    first, second = (bootstrap(values, generator=np.random.default_rng(7)) for _ in range(2))
    assert first == second
    assert first.low < first.middle < first.high
    constant = bootstrap([2.0] * 5, generator=np.random.default_rng(0))
    assert constant == (2.0, 2.0, 2.0)
    assert constant.relative_width == 0.0
