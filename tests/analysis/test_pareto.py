"""Dominance against brute force, and what a front leaves out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.pareto import front, pareto
from bench.analysis.table import Absent
from bench.errors import RecordError

NAMES = ("a", "b", "c")
values = st.integers(0, 3) | st.just(Absent("not measured"))
points = st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, values)), max_size=12)
ways = st.tuples(*[st.sampled_from(["higher", "lower"]) for _ in NAMES])


def beats(one, other, directions):
    """The definition, pair by pair: nowhere worse and somewhere better."""
    better = [
        one[name] > other[name] if way == "higher" else one[name] < other[name]
        for name, way in zip(NAMES, directions, strict=True)
    ]
    worse = [
        one[name] < other[name] if way == "higher" else one[name] > other[name]
        for name, way in zip(NAMES, directions, strict=True)
    ]
    return any(better) and not any(worse)


@given(points, ways)
def test_the_front_is_what_nothing_dominates(rows, directions):
    whole = [index for index, row in enumerate(rows) if not any(isinstance(row[name], Absent) for name in NAMES)]
    expected = {index for index in whole if not any(beats(rows[other], rows[index], directions) for other in whole)}
    assert front(rows, NAMES, directions) == expected


@given(points, ways)
def test_every_point_off_the_front_is_beaten_by_one_on_it(rows, directions):
    found = front(rows, NAMES, directions)
    for index, row in enumerate(rows):
        if index not in found and not any(isinstance(row[name], Absent) for name in NAMES):
            assert any(beats(rows[member], row, directions) for member in found)


def test_equal_rows_both_stay():
    assert front([{"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 3}], ("a", "b"), ("higher", "lower")) == {0, 1}


def test_a_missing_key_is_left_out():
    assert front([{"a": 1}, {"a": 0, "b": 0}], ("a", "b"), ("higher", "lower")) == {1}


def test_rows_without_a_value_are_left_out_and_named(suite, row):
    records = [
        *row("none", 0.9, 0.9, 0.9, values={"flops": 100}),
        *row("svd", 0.8, 0.8, 0.8, values={"flops": 50}),
        *row("wide", 0.7, 0.7, 0.7, values={"flops": 100}),
        *row("int8", 0.9, 0.9, 0.9, absent={"flops": "an operator is unknown"}),
        *row("lost", 0.9),
    ]
    found = pareto(suite, records, ["flops", "quality"])
    table = found.table()
    assert [(line["recipe"], line["front"]) for line in table.rows] == [
        ("svd", "front"),
        ("none", "front"),
        ("wide", "dominated"),
    ]
    assert "Left out: int8: flops on alpha: an operator is unknown" in table.notes
    assert any(note.startswith("Left out: lost: beta, seed 0: no record") for note in table.notes)


def test_columns_without_direction_and_lone_columns_are_refused(suite, row):
    with pytest.raises(RecordError, match="flops_coverage is neither"):
        pareto(suite, row("svd", 1.0, 1.0, 1.0), ["flops_coverage", "quality"])
    with pytest.raises(RecordError, match="at least two"):
        pareto(suite, row("svd", 1.0, 1.0, 1.0), ["quality", "quality"])
