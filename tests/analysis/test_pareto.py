"""Dominance against brute force, and what a front leaves out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.pareto import front, pareto
from bench.analysis.table import Absent
from bench.base.errors import RecordError
from bench.report.render import render

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
    with pytest.raises(RecordError, match="flops_coverage has no better direction"):
        pareto(suite, row("svd", 1.0, 1.0, 1.0), ["flops_coverage", "quality"])
    with pytest.raises(RecordError, match="at least two"):
        pareto(suite, row("svd", 1.0, 1.0, 1.0), ["quality", "quality"])


def scored(middle, half, flops, **changes):
    values = {"quality_low": middle - half, "quality_high": middle + half, "flops": flops}
    return {"values": values | changes.pop("values", {}), **changes}


def test_the_table_says_how_surely_each_row_is_on_the_front_and_what_was_taken_as_exact(suite, row):
    records = [
        *row("none", 0.9, 0.9, 0.9, **scored(0.9, 0.02, 100)),
        *row("even", 0.9, 0.9, 0.9, **scored(0.9, 0.02, 100)),  # as good as the reference: one of two is ahead
        *row("svd", 0.5, 0.5, 0.5, **scored(0.5, 0.02, 50)),
        *row("bad", 0.1, 0.1, 0.1, **scored(0.1, 0.02, 100)),
    ]
    found = pareto(suite, records, ["quality", "flops"])
    table = found.table()
    shares = {line["recipe"]: line["on_front"] for line in table.rows}
    assert shares["svd"] == (1.0, "100%")
    assert shares["bad"] == (0.0, "0%")
    assert shares["even"].value == pytest.approx(0.5, abs=0.05)
    assert shares["even"].value + shares["none"].value == pytest.approx(1.0)
    assert (
        "On front: share of 2,000 draws, each value drawn within its 95 % interval, in which no other row dominates "
        "this one; treated as exact, since without an interval: flops."
    ) in table.notes


def test_rows_without_an_interval_are_named_and_without_any_there_is_no_share(suite, row):
    records = [*row("none", 0.9, 0.9, 0.9, **scored(0.9, 0.02, 100)), *row("old", 0.8, 0.8, 0.8, values={"flops": 90})]
    assert pareto(suite, records, ["quality", "flops"]).exact == ("quality of old", "flops")
    bare = pareto(suite, row("old", 0.8, 0.8, 0.8, values={"flops": 90}), ["quality", "flops"]).table()
    assert "on_front" not in bare.columns
    assert "No value has an interval, so the uncertainty of the front is unknown." in bare.notes


def test_the_hypervolume_is_stated_with_its_reference_point_and_may_be_given_one(suite, row):
    records = [
        *row("none", 0.9, 0.9, 0.9, values={"flops": 100}),
        *row("svd", 0.8, 0.8, 0.8, values={"flops": 50}),
        *row("bad", 0.5, 0.5, 0.5, values={"flops": 120}),
    ]
    assert (
        "Hypervolume: 82.1% of the box from the reference point (quality 0.5, flops 120) to the best of each column "
        "(quality 0.9, flops 50); 23 in the columns' own units."
    ) in pareto(suite, records, ["quality", "flops"]).table().notes  # 70 x 0.3 and 20 x 0.1 more, hence 23
    given = pareto(suite, records, ["quality", "flops"], reference={"flops": 150, "quality": 0.0})
    assert given.cover.volume == pytest.approx(100 * 0.8 + 50 * 0.1)
    with pytest.raises(RecordError, match="the reference point has flops, but the front is over quality, flops"):
        pareto(suite, records, ["quality", "flops"], reference={"flops": 150})


def test_flags_of_fake_compression_stand_in_the_fronts_table(suite, row):
    says = {"claimed-not-stored": "4-bit weights are stored in 32 bits", "not-faster": "1.0x"}
    records = [
        *row("none", 0.9, 0.9, 0.9, values={"flops": 100}),
        *row("fake", 0.8, 0.8, 0.8, values={"flops": 50}, warnings=says),
    ]
    table = pareto(suite, records, ["quality", "flops"]).table()
    assert [line["flags"] for line in table.rows] == ["", "claimed-not-stored, not-faster"]
    text = render(table, "table", width=100)
    assert "fake !¹ !²" in text
    assert "claimed-not-stored: 4-bit weights are stored in 32 bits (applies to 3 of 6 records)" in text


def test_a_large_front_says_its_fewer_draws_and_why_it_has_no_volume(suite, row, monkeypatch):
    monkeypatch.setattr("bench.analysis.membership.LARGE", 1)
    monkeypatch.setattr("bench.analysis.pareto.SLICES", 1)
    records = [
        *row("none", 0.9, 0.9, 0.9, **scored(0.9, 0.02, 100)),
        *row("svd", 0.8, 0.8, 0.8, **scored(0.8, 0.02, 50)),
    ]
    records = [record.model_copy(update={"values": {**record.values, "params": 10}}) for record in records]
    notes = " ".join(pareto(suite, records, ["quality", "flops", "params"]).table().notes)
    assert "On front: share of 500 draws (2,000 up to 500 rows), each value" in notes
    assert "The hypervolume is not computed: 2 rows on a front over 3 columns take too long." in notes
