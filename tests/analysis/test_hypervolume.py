"""The volume under a front, by hand and by counting unit cubes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.pareto import cover, hypervolume


def test_two_dimensions_by_hand():
    assert hypervolume([(3, 1), (2, 2), (1, 3)], (0, 0)) == 6  # stairs of 3, 2 and 1
    assert hypervolume([(3, 1)], (1, 0)) == 2
    assert hypervolume([(3, 1)], (1, 1)) == 0  # not above the reference in the second
    assert hypervolume([], (0, 0)) == 0


def test_three_dimensions_by_hand():
    assert hypervolume([(2, 2, 2)], (0, 0, 0)) == 8
    assert hypervolume([(2, 2, 2), (3, 1, 1)], (0, 0, 0)) == 9  # a cube of 8 and what sticks out, 1 x 1 x 1
    assert hypervolume([(2, 1, 1), (1, 2, 1), (1, 1, 2)], (0, 0, 0)) == 4


@given(st.integers(1, 4).flatmap(lambda size: st.lists(st.tuples(*[st.integers(-1, 4)] * size), max_size=6)))
def test_the_volume_is_the_number_of_unit_cubes_below_some_point(points):
    size = len(points[0]) if points else 2
    cubes = itertools.product(range(4), repeat=size)
    covered = sum(any(all(at < own for at, own in zip(cube, point, strict=True)) for point in points) for cube in cubes)
    assert hypervolume(points, (0,) * size) == covered


def test_a_dominated_point_and_a_repeated_one_add_nothing():
    front = [(3.0, 1.0), (1.0, 3.0)]
    assert hypervolume([*front, (0.5, 0.5), (3.0, 1.0)], (0, 0)) == hypervolume(front, (0, 0))


def test_directions_turn_and_the_worst_corner_is_the_reference_unless_one_is_given():
    points = [(10.0, 0.5), (20.0, 0.9), (40.0, 0.6)]  # cost, lower is better; score, higher is better
    found = cover(points, (-1.0, 1.0))
    assert (found.reference, found.best) == ((40.0, 0.5), (10.0, 0.9))
    assert found.volume == pytest.approx(20 * 0.4)  # only the middle point is above the corner in both
    assert found.share == pytest.approx(20 * 0.4 / (30 * 0.4))
    given = cover(points, (-1.0, 1.0), (50.0, 0.0))
    assert given.volume == pytest.approx(30 * 0.9 + 10 * 0.5)
    assert given.share == pytest.approx((30 * 0.9 + 10 * 0.5) / (40 * 0.9))


def test_a_box_without_volume_has_no_share_and_no_rows_have_no_cover():
    assert cover([(1.0, 2.0)], (1.0, 1.0)).share is None
    assert cover([], (1.0, 1.0)) is None
