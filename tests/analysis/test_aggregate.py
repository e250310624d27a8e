"""The rule of every column, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from bench.analysis.means import aggregate
from bench.columns import COLUMNS, column


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("params", (3.0 + 8.0) / 2),  # mean over tasks of the mean over seeds, not of all four values
        ("quality", (3.0 + 8.0) / 2),
        ("speedup", ((2 * 4) ** 0.5 * 8) ** 0.5),
        ("compression", ((2 * 4) ** 0.5 * 8) ** 0.5),
        ("memory_peak_bytes", 8),
        ("compress_s", 3.0 + 8.0),
        ("compress_cpu_s", 3.0 + 8.0),
        ("energy_kwh", (3.0 + 8.0) / 2),
    ],
)
def test_seeds_are_averaged_before_tasks(name, expected):
    assert aggregate(column(name), [[2, 4], [8]]) == pytest.approx(expected)


def test_a_mean_lies_within_the_interval_whose_ends_are_averaged_like_it():
    measured = [item for item in COLUMNS.values() if item.interval and not item.is_score]
    assert {"speedup", "memory_peak_bytes", "latency_p50_s"} <= {item.name for item in measured}
    for item in measured:
        low, high = (column(end) for end in item.ends[:2])
        found = [aggregate(low, [[1], [30]]), aggregate(item, [[2], [40]]), aggregate(high, [[3], [50]])]
        assert found == sorted(found)


def test_twice_and_half_as_fast_make_no_difference():
    assert aggregate(column("speedup"), [[2.0], [0.5]]) == pytest.approx(1.0)


def test_a_ratio_that_is_not_positive_has_no_geometric_mean():
    with pytest.raises(ValueError, match="positive"):
        aggregate(column("speedup"), [[2.0], [0.0]])
