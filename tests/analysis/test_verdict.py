"""When a change is called one."""

from __future__ import annotations

import pytest

from bench.analysis.changes import change_of_difference, change_of_ratio
from bench.base.statistics import Interval


@pytest.mark.parametrize(
    ("speedup", "threshold", "said"),
    [
        (Interval(1.10, 1.05, 1.15), 0.03, "more"),
        (Interval(1.02, 1.01, 1.03), 0.03, "no change"),  # certain, and too small to matter
        (Interval(1.10, 0.99, 1.21), 0.03, "no change"),  # large, and not certain
        (Interval(1.10, 1.00, 1.21), 0.03, "no change"),  # an interval that touches 1 does not exclude it
        (Interval(0.90, 0.85, 0.95), 0.03, "less"),
        (Interval(0.98, 0.97, 0.99), 0.03, "no change"),
        (Interval(1.01, 1.005, 1.02), 0.0, "more"),
    ],
)
def test_a_change_needs_an_interval_without_one_and_more_than_the_threshold(speedup, threshold, said):
    assert change_of_ratio(speedup, threshold) == said


def test_swapping_the_two_sides_swaps_the_change_of_ratio():
    turned = {"more": "less", "less": "more", "no change": "no change"}
    for middle in (0.5, 0.96, 0.975, 0.999, 1.001, 1.025, 1.035, 2.0):
        one = Interval(middle, middle * 0.999, middle * 1.001)
        other = Interval(1 / middle, 1 / one.high, 1 / one.low)
        assert change_of_ratio(other, 0.03) == turned[change_of_ratio(one, 0.03)]


def test_a_difference_is_called_by_the_same_rule_around_zero():
    assert change_of_difference(Interval(0.02, 0.005, 0.03), 0.01) == "more"
    assert change_of_difference(Interval(-0.02, -0.03, -0.005), 0.01) == "less"
    assert change_of_difference(Interval(0.02, -0.001, 0.03), 0.01) == "no change"
    assert change_of_difference(Interval(0.009, 0.005, 0.03), 0.01) == "no change"
