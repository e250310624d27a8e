"""Which points are beaten, for many sets at once: against the definition, pair by pair."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import membership as dominance
from bench.analysis.membership import DRAWS, LARGE, dominated, draws_for, on_front
from bench.analysis.pareto import SLICES, cover
from bench.base.statistics import Interval


def by_definition(gains):
    ours, theirs = gains[:, :, None, :], gains[:, None, :, :]
    return ((theirs >= ours).all(axis=-1) & (theirs > ours).any(axis=-1)).any(axis=2)


@given(st.data(), st.integers(2, 4), st.integers(1, 9), st.integers(1, 4))
def test_dominated_is_the_definition_with_ties_in_any_number_of_columns(data, columns, points, sets):
    size = sets * points * columns
    numbers = data.draw(st.lists(st.integers(-2, 2), min_size=size, max_size=size))
    gains = np.array(numbers, dtype=float).reshape(sets, points, columns)
    assert (dominated(gains) == by_definition(gains)).all()


@pytest.mark.parametrize("columns", [2, 3, 4])
@pytest.mark.parametrize("digits", [1, 15])
def test_dominated_is_the_definition_over_several_blocks(columns, digits, monkeypatch):
    monkeypatch.setattr(dominance, "_BLOCK", 7)
    gains = np.random.default_rng(0).random((5, 60, columns)).round(digits)
    gains[:, 40:] = gains[:, :20]  # equal points
    assert (dominated(gains) == by_definition(gains)).all()


def test_a_sum_that_rounding_makes_equal_does_not_hide_who_dominates():
    gains = np.array([[[1e16, 0.0, 0.25], [1e16, 0.0, 0.5], [1e16, 0.0, 0.25]]])
    assert dominated(gains).tolist() == [[True, False, True]]


def brute(rows, signs):
    """Every draw by the definition, from the same numbers."""
    middle, low, high = (np.array([[value[part] for value in row] for row in rows]) for part in range(3))
    generator, counts = np.random.default_rng(0), np.zeros(len(rows))
    for _ in range(DRAWS // 100):
        z = generator.standard_normal((100, *middle.shape))
        drawn = middle + z / 1.959963984540054 * np.maximum(np.where(z > 0, high - middle, middle - low), 0)
        counts += (~by_definition(drawn * np.array(signs))).sum(axis=0)
    return [float(count) / DRAWS for count in counts]


@pytest.mark.parametrize("columns", [2, 3])
def test_setting_rows_aside_changes_no_share(columns):
    values = np.random.default_rng(1).random((20, columns))
    rows = [[*(Interval(x, x - 0.1, x + 0.2) for x in row[:-1]), Interval(*[row[-1]] * 3)] for row in values]
    signs = [1.0, -1.0, 1.0][:columns]
    assert on_front(rows, signs) == brute(rows, signs)


def test_a_thousand_rows_take_seconds_of_processor_time():
    values = np.random.default_rng(0).random(1000)
    rows = [[Interval(x, x - 0.05, x + 0.05), Interval(1 - x, 0.95 - x, 1.05 - x)] for x in values.tolist()]
    begun = time.process_time()
    shares = on_front(rows, [1.0, 1.0])  # all of them on the front, which is the slowest case
    assert time.process_time() - begun < 20  # half a second; comparing every two rows of every draw takes 90
    assert 0 < min(shares) < max(shares) < 1


def test_large_fronts_over_many_columns_are_drawn_less_often():
    assert draws_for(100_000, 2) == draws_for(LARGE, 3) == DRAWS
    assert draws_for(2 * LARGE, 3) == DRAWS / 4
    assert draws_for(100_000, 3) == 100


def test_a_volume_of_too_many_slices_is_not_computed():
    count = int(SLICES**0.5) + 1
    points = [(float(index), float(-index), 0.0, 0.0) for index in range(count)]  # none beats another
    found = cover(points, [1.0] * 4)
    assert (found.volume, found.share) == (None, None)
    assert cover(points[:-2], [1.0] * 4).volume == 0.0
