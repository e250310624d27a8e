"""Intervals of means over tasks and seeds, by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from bench.analysis.spread import UNBOUNDED, ScoreRange, p_of_zero, score_over_cells
from bench.columns import column

SHARE = ScoreRange(0.0, 1.0)


def test_one_cell_keeps_its_own_interval():
    assert score_over_cells([[0.8]], [[(0.7, 0.95)]], SHARE) == pytest.approx((0.8, 0.7, 0.95))


def test_half_widths_of_independent_tasks_add_in_quadrature_each_side_by_itself():
    found = score_over_cells([[0.5], [0.7]], [[(0.47, 0.56)], [(0.66, 0.78)]], SHARE)
    assert found == pytest.approx((0.6, 0.6 - 0.05 / 2, 0.6 + 0.1 / 2))  # 3-4-5 below, 6-8-10 above


def test_the_interval_over_four_tasks_covers_the_true_mean_as_often_as_it_says_and_the_mean_of_ends_too_often():
    generator = np.random.default_rng(0)
    true, counts = np.array([0.9, 0.7, 0.8, 0.6]), np.array([400, 300, 200, 500])
    ours = ends = 0
    for _ in range(1500):
        shares = generator.binomial(counts, true) / counts
        half = 1.96 * np.sqrt(shares * (1 - shares) / counts)
        found = score_over_cells(
            shares[:, None].tolist(), [[(s - h, s + h)] for s, h in zip(shares, half, strict=True)], SHARE
        )
        ours += found.low <= true.mean() <= found.high
        ends += (shares - half).mean() <= true.mean() <= (shares + half).mean()
    assert 0.935 <= ours / 1500 <= 0.965
    assert ends / 1500 > 0.998


def test_the_interval_over_three_seeds_covers_both_new_seeds_and_new_examples():
    generator = np.random.default_rng(1)
    hits = bare = 0
    for _ in range(1500):
        examples = 0.02 * generator.standard_normal(
            2
        )  # what the drawn examples of two tasks add, the same for all seeds
        values = 0.8 + examples[:, None] + 0.005 * generator.standard_normal((2, 3))
        found = score_over_cells(values.tolist(), [[(v - 0.0392, v + 0.0392) for v in row] for row in values], SHARE)
        hits += found.low <= 0.8 <= found.high
        seeds_only = score_over_cells(values.tolist(), None, SHARE)
        bare += seeds_only.low <= 0.8 <= seeds_only.high
    assert hits / 1500 >= 0.94
    assert bare / 1500 < 0.75  # seeds alone know nothing of the examples


def test_without_ends_several_seeds_give_the_t_interval_of_their_means_and_one_seed_gives_none():
    found = score_over_cells([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]], None, UNBOUNDED)
    means = [2.0, 3.0, 4.0]
    low, high = scipy.stats.t.interval(0.95, 2, loc=3.0, scale=scipy.stats.sem(means))
    assert found == pytest.approx((3.0, low, high))
    assert score_over_cells([[1.0], [3.0]], None, UNBOUNDED) is None


def test_an_interval_that_ends_at_zero_has_a_p_of_one_in_twenty():
    assert p_of_zero((0.02, 0.0, 0.05)) == pytest.approx(0.05)
    assert p_of_zero((-0.02, -0.05, 0.0)) == pytest.approx(0.05)
    assert p_of_zero((0.02, -0.01, 0.05)) > 0.05 > p_of_zero((0.02, 0.005, 0.05))
    assert p_of_zero((0.0, -0.1, 0.1)) == 1.0
    z = 0.02 / (0.03 / scipy.stats.norm.ppf(0.975))
    assert p_of_zero((0.02, -0.01, 0.03)) == pytest.approx(2 * scipy.stats.norm.sf(z))
    assert math.isclose(p_of_zero((0.0, 0.0, 0.0)), 1.0)


def test_scores_are_over_examples_and_times_are_not():
    assert [column(name).is_score for name in ("quality", "drop", "label_loyalty", "attack_accuracy")] == [True] * 4
    assert [column(name).is_score for name in ("speedup", "energy_kwh", "size_bytes", "macs")] == [False] * 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("centre", [0.5, 2.5])
def test_shares_that_vary_from_seed_to_seed_are_covered_and_no_interval_leaves_0_to_1(seeds, centre):
    """Models whose true accuracy is drawn on the logit scale, seen through the same 400 examples."""
    generator = np.random.default_rng(2)
    true = sigmoid(centre + 0.6 * generator.standard_normal(200_000)).mean()
    hits, count = 0, 800
    for _ in range(count):
        accuracy = sigmoid(centre + 0.6 * generator.standard_normal(seeds))
        hard = generator.random(400)  # an example is right where the model is good enough for it
        shares = (hard[None, :] < accuracy[:, None]).mean(axis=1)
        half = 1.96 * np.sqrt(shares * (1 - shares) / 400)
        found = score_over_cells(
            [shares.tolist()], [list(zip((shares - half).tolist(), (shares + half).tolist(), strict=True))], SHARE
        )
        assert 0 <= found.low <= found.middle <= found.high <= 1
        hits += found.low <= true <= found.high
    assert hits / count >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / count)


def test_two_seeds_far_apart_leave_nearly_everything_open_and_nothing_beyond():
    low, high = score_over_cells([[0.717, 0.522]], None, SHARE)[1:]
    assert 0 < low < 0.01
    assert 0.99 < high < 1
    drop = score_over_cells([[-0.01, -0.24]], None, ScoreRange(-1.0, 1.0))
    assert -1 < drop.low < -0.8 < 0.7 < drop.high < 1


def test_seeds_that_agree_keep_the_interval_over_examples():
    found = score_over_cells([[0.9, 0.9]], [[(0.86, 0.93)] * 2], SHARE)
    assert found == pytest.approx((0.9, 0.86, 0.93))
    assert score_over_cells([[1.0, 1.0]], [[(1.0, 1.0)] * 2], SHARE) == (1.0, 1.0, 1.0)
    assert score_over_cells([[1.0, 1.0]], [[(0.97, 1.0)] * 2], SHARE) == pytest.approx((1.0, 0.97, 1.0))


def test_for_correlations_the_scale_is_fishers():
    half = scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem([0.7, 0.8, 0.9])
    low, high = score_over_cells([[0.7, 0.8, 0.9]], None, ScoreRange(-1.0, 1.0))[1:]
    reach = half / (1 - 0.8**2)  # the derivative of arctanh at the mean
    assert (low, high) == pytest.approx((math.tanh(math.atanh(0.8) - reach), math.tanh(math.atanh(0.8) + reach)))


def test_an_example_interval_that_ends_at_a_bound_stays_there():
    found = score_over_cells([[0.98, 0.99]], [[(0.95, 1.0), (0.96, 1.0)]], SHARE)
    assert found.low < 0.95
    assert found.high <= 1.0
