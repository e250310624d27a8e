"""How often a row is on a front: against normal theory, and against the front itself where nothing is uncertain."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from bench.analysis.membership import DRAWS, on_front
from bench.analysis.pareto import front
from bench.base.statistics import Interval


def sure(value):
    return Interval(value, value, value)


def unsure(value, half):
    return Interval(value, value - half, value + half)


def test_rows_without_intervals_are_on_the_front_always_or_never_as_the_front_says():
    values = np.random.default_rng(0).integers(0, 4, size=(12, 3)).astype(float)
    rows = [[sure(value) for value in row] for row in values]
    points = [dict(zip("abc", row, strict=True)) for row in values.tolist()]
    members = front(points, "abc", ["higher", "lower", "higher"])
    assert 0 < len(members) < 12
    assert on_front(rows, [1.0, -1.0, 1.0]) == [float(index in members) for index in range(12)]


def test_the_chance_that_the_better_of_two_stays_ahead_is_that_of_normal_theory():
    rows = [[sure(1.0), unsure(0.80, 0.04)], [sure(1.0), unsure(0.82, 0.03)]]  # same cost, so only the score decides
    deviation = np.hypot(0.04, 0.03) / 1.96
    expected = scipy.stats.norm.cdf(0.02 / deviation)
    found = on_front(rows, [-1.0, 1.0])
    assert found[1] == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / DRAWS))
    assert found[0] == pytest.approx(1 - found[1])  # one of the two, as a draw never ties


def test_an_interval_with_unequal_sides_is_drawn_with_both():
    rows = [[sure(0.0), Interval(0.0, -1.0, 9.0)], [sure(0.0), sure(1.0)], [sure(1.0), sure(-1.0)]]
    above = scipy.stats.norm.sf(1.96 / 9)  # the upper side is nine times as long as the way to the second row
    found = on_front(rows, [-1.0, 1.0])
    assert found[0] == pytest.approx(above, abs=0.04)
    assert found[2] == 0.0


def test_the_same_seed_gives_the_same_shares_and_no_rows_none():
    rows = [[unsure(1.0, 0.5)], [unsure(1.1, 0.5)]]
    assert on_front(rows, [1.0]) == on_front(rows, [1.0])
    assert on_front(rows, [1.0]) != on_front(rows, [1.0], seed=1)
    assert on_front([], [1.0, 1.0]) == []
