from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from bench.base.statistics import (
    bootstrap,
    mad,
    mcnemar,
    median,
    over_seeds,
    paired_difference,
    percentile,
    samples_needed,
    score_interval,
)


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


def test_the_interval_of_an_accuracy_is_the_binomial_one():
    right = np.random.default_rng(0).random(400) < 0.8
    found = score_interval(lambda indices: right[indices].mean(), 400, generator=np.random.default_rng(1))
    counts = scipy.stats.binom(400, right.mean())  # what resampling a 0/1 mean is, without drawing
    assert found.middle == right.mean()
    assert found.low == pytest.approx(counts.ppf(0.025) / 400, abs=0.006)
    assert found.high == pytest.approx(counts.ppf(0.975) / 400, abs=0.006)


def test_the_interval_of_a_score_covers_the_true_one_about_as_often_as_it_says():
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(150):
        x = generator.normal(size=80)
        y = 0.6 * x + 0.8 * generator.normal(size=80)  # true correlation 0.6
        found = score_interval(
            lambda i, x=x, y=y: np.corrcoef(x[i], y[i])[0, 1], 80, generator=generator, resamples=150
        )
        hits += found.low <= 0.6 <= found.high
    assert 0.88 <= hits / 150 <= 0.99


def test_resamples_without_a_score_are_skipped_and_many_of_them_leave_no_interval():
    values = np.r_[np.nan, np.ones(9)]

    def picky(wanted):  # defined unless the resample holds more than `wanted` times the first example
        return lambda indices: float(np.nanmean(values[indices])) if (indices == 0).sum() <= wanted else math.nan

    generator = np.random.default_rng(0)
    assert score_interval(picky(wanted=3), 10, generator=generator) == (1.0, 1.0, 1.0)
    assert score_interval(picky(wanted=1), 10, generator=generator) is None  # 26 % have it twice or more
    assert score_interval(lambda indices: math.nan, 10, generator=generator) is None
    assert score_interval(lambda indices: 1.0, 1, generator=generator) is None
    assert score_interval(lambda indices: indices.mean(), 0, generator=generator) is None  # no warning either


def test_the_paired_interval_is_that_of_the_mean_of_differences_and_much_narrower_than_the_two_scores_own():
    generator = np.random.default_rng(5)
    hard = generator.normal(size=300)
    first, second = hard + 0.1 * generator.normal(size=300), hard - 0.05 + 0.1 * generator.normal(size=300)
    found, p = paired_difference(
        lambda i: first[i].mean(), lambda i: second[i].mean(), 300, generator=np.random.default_rng(6)
    )
    half = 1.96 * (first - second).std() / np.sqrt(300)
    assert found.middle == pytest.approx((first - second).mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.12)
    own = score_interval(lambda i: first[i].mean(), 300, generator=np.random.default_rng(6))
    assert found.high - found.low < 0.2 * (own.high - own.low)
    assert p == pytest.approx(2 / 1001)  # the smallest that 1,000 resamples can give, not zero


def test_a_score_never_differs_from_itself_and_the_difference_turns_with_the_order():
    right = np.random.default_rng(0).random(50) < 0.7
    other = np.random.default_rng(1).random(50) < 0.5

    def one(indices):
        return right[indices].mean()

    def two(indices):
        return other[indices].mean()

    assert paired_difference(one, one, 50, generator=np.random.default_rng(0)) == ((0.0, 0.0, 0.0), 1.0)
    there, p_there = paired_difference(one, two, 50, generator=np.random.default_rng(0))
    back, p_back = paired_difference(two, one, 50, generator=np.random.default_rng(0))
    assert (back.middle, back.low, back.high) == pytest.approx((-there.middle, -there.high, -there.low))
    assert p_there == p_back
    assert paired_difference(one, lambda i: math.nan, 50, generator=np.random.default_rng(0)) is None


def test_the_paired_p_value_agrees_with_mcnemar_and_rejects_no_true_null_more_often_than_it_says():
    generator = np.random.default_rng(8)
    rejected, pairs = 0, []
    for _ in range(150):
        first, second = (generator.random((2, 120)) < 0.6).astype(float)
        _, p = paired_difference(
            lambda i, v=first: v[i].mean(), lambda i, v=second: v[i].mean(), 120, generator=generator, resamples=200
        )
        exact = mcnemar(int((first > second).sum()), int((second > first).sum()))
        rejected += p <= 0.05
        pairs.append((p, exact))
    assert rejected / 150 <= 0.11
    assert scipy.stats.spearmanr(*zip(*pairs, strict=True)).statistic > 0.95


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (5, 0, 2 / 32), (1, 9, 2 * (1 + 10) / 1024), (0, 1, 1.0)],
)
def test_mcnemar_by_hand(only_first, only_second, p):
    assert mcnemar(only_first, only_second) == pytest.approx(p)


def test_the_interval_over_seeds_is_the_t_interval_by_hand_and_needs_two():
    mean, deviation = 2.0, 1.0  # of 1, 2, 3 with n - 1
    found = over_seeds([1.0, 2.0, 3.0])
    half = 4.302652729911275 * deviation / np.sqrt(3)  # t at 0.975 with 2 degrees of freedom, from a table
    assert found == pytest.approx((mean, mean - half, mean + half))
    assert over_seeds([1.0]) is None
    assert over_seeds([]) is None
