"""One side against another: changes by hand, verdicts, and what is refused."""

# ruff: noqa: RUF001  # the dash that stands for a missing value is meant

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.analysis.changes import change_of
from bench.analysis.compare import compare, side_of
from bench.analysis.paired import StoredRecord
from bench.analysis.table import Absent
from bench.base.errors import RecordError, UnknownNameError
from bench.report.render import render


def side(name, records, **changes):
    return side_of(
        name, [StoredRecord(record=item, path=Path("nowhere")) for item in records], **{"with_recipe": False, **changes}
    )


def ended(name, middle, half):
    return {name: middle, f"{name}_low": middle - half, f"{name}_high": middle + half}


def lines(comparison, task="overall"):
    return {line.column: line for line in comparison.lines if line.task == task}


def test_counted_columns_change_by_an_exact_ratio_averaged_geometrically(record):
    before = [record(task, "a", values={"macs": macs}) for task, macs in (("alpha", 100), ("beta", 200))]
    after = [record(task, "b", values={"macs": macs}) for task, macs in (("alpha", 25), ("beta", 200))]
    found = compare(side("a", before), side("b", after), ["macs"], title="t")
    change = lines(found)["macs"].change
    assert change.interval == pytest.approx((0.5, 0.5, 0.5))  # the root of 1/4 and 1
    assert change.test == "counted"
    assert [lines(found, task)["macs"].verdict for task in ("overall", "alpha", "beta")] == [
        "better",
        "better",
        "no change",
    ]


def test_the_ratio_of_two_speedups_has_an_interval_from_both(record):
    values = [
        {"speedup": 2.0, "speedup_low": 1.9, "speedup_high": 2.1},
        {"speedup": 3.0, "speedup_low": 2.8, "speedup_high": 3.3},
    ]
    before, after = (record("alpha", name, values=own) for name, own in zip("ab", values, strict=True))
    change = lines(compare(side("a", [before]), side("b", [after]), ["speedup"], title="t"))["speedup"].change
    middle, low, high = change.interval
    assert middle == pytest.approx(1.5)
    assert 2.8 / 2.1 < low < min(2.8 / 2.0, 3.0 / 2.1)  # narrower than both worst ends, wider than either alone
    assert max(3.3 / 2.0, 3.0 / 1.9) < high < 3.3 / 1.9


def test_against_the_reference_the_speedup_is_its_own_paired_interval(record):
    own = {"speedup": 2.0, "speedup_low": 1.9, "speedup_high": 2.1}
    noise = {"speedup": 1.01, "speedup_low": 0.97, "speedup_high": 1.05}
    before, after = record("alpha", "none", values=noise), record("alpha", "svd", values=own)
    change = lines(compare(side("none", [before]), side("svd", [after]), ["speedup"], title="t"))["speedup"].change
    assert change.interval == pytest.approx((2.0, 1.9, 2.1))
    assert change.test == "paired with the reference"


def test_against_the_reference_the_quality_changes_by_the_paired_drop(record):
    drop = {"drop": 0.1, "drop_low": 0.07, "drop_high": 0.12, "drop_p": 0.004}
    sides = side("none", [record("alpha", "none", 0.9)]), side("svd", [record("alpha", "svd", 0.8, values=drop)])
    line = lines(compare(*sides, ["quality"], title="t"))["quality"]
    assert line.change.interval == pytest.approx((-0.1, -0.12, -0.07))
    assert (line.change.p, line.change.test, line.verdict) == (0.004, "paired drop", "worse")
    back = lines(compare(*sides[::-1], ["quality"], title="t"))["quality"]
    assert back.change.interval == pytest.approx((0.1, 0.07, 0.12))
    assert back.verdict == "better"


def test_without_predictions_two_intervals_add_in_quadrature(record):
    before = record("alpha", "a", 0.8, values=ended("quality", 0.8, 0.03))
    after = record("alpha", "b", 0.9, values=ended("quality", 0.9, 0.04))
    line = lines(compare(side("a", [before]), side("b", [after]), ["quality"], title="t"))["quality"]
    assert line.change.interval == pytest.approx((0.1, 0.05, 0.15))
    assert line.change.test == "two intervals, unpaired"
    assert line.verdict == "better"


def test_without_any_interval_there_is_no_verdict_but_the_reason(record):
    line = lines(compare(side("a", [record("alpha", "a", 0.5)]), side("b", [record("alpha", "b", 0.9)]), title="t"))
    assert line["quality"].change.middle == pytest.approx(0.4)
    assert line["quality"].verdict == Absent("no verdict on quality: a record was stored without its predictions")
    assert line["macs"].verdict == Absent("macs on alpha: the record has no such column")


def test_several_seeds_are_paired_by_seed(record):
    before = [record("alpha", "a", value, seed=seed) for seed, value in enumerate((0.5, 0.7, 0.9))]
    after = [record("alpha", "b", value, seed=seed) for seed, value in enumerate((0.56, 0.77, 0.98))]
    change = lines(compare(side("a", before), side("b", after), ["quality"], title="t"))["quality"].change
    half = 4.302652729911275 * 0.01 / 3**0.5  # the differences are 0.06, 0.07 and 0.08
    half /= 2**2 - 0.07**2  # arctanh of half a difference of two qualities from -1 to 1, by its slope at the mean
    ends = [2 * math.tanh(math.atanh(0.07 / 2) + sign * 2 * half) for sign in (-1, 1)]
    assert change.interval == pytest.approx((0.07, *ends))
    assert change.seeds == pytest.approx((0.06, 0.07, 0.08))
    assert change.test == "t over seeds"
    assert change.p < 0.05


def test_an_estimated_energy_gets_no_verdict(record):
    def made(recipe, kwh, source):
        return record(
            "alpha", recipe, values=ended("energy_kwh", kwh, kwh / 100), conditions={"e": {"power_source": source}}
        )

    def verdict(source):
        sides = side("a", [made("a", 2e-4, source)]), side("b", [made("b", 1e-4, source)])
        return lines(compare(*sides, ["energy_kwh"], title="t"))["energy_kwh"].verdict

    assert verdict("rapl") == "better"
    assert verdict("load model") == Absent("no verdict on energy_kwh: it is estimated (power from load model)")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machine": "m2"}, "2 machines"),
        ({"setting_id": "ffffffff"}, "2 settings"),
        ({"suite": "other"}, "2 suites"),
        ({"task_version": 2}, "versions 1, 2"),
        ({"seed": 1}, "alpha: b has seeds 1, but a on alpha has seeds 0. Different seeds"),
        ({"model": "other"}, "no model and recipe in common"),
    ],
)
def test_what_may_not_be_compared_is_refused(record, change, said):
    with pytest.raises(RecordError, match=said):
        compare(side("a", [record("alpha", "a")]), side("b", [record("alpha", "b", **change)]), title="t")


def test_columns_without_direction_and_unknown_ones_are_refused(record):
    sides = side("a", [record("alpha", "a")]), side("b", [record("alpha", "b")])
    for name in ("flops_coverage", "retention"):
        with pytest.raises(RecordError, match=f"column {name} cannot be compared"):
            compare(*sides, [name], title="t")
    with pytest.raises(UnknownNameError, match="Did you mean 'quality'"):
        compare(*sides, ["qualty"], title="t")


def test_tasks_of_one_side_are_left_out_by_name_and_excluded_ones_only_from_the_overall_lines(record):
    before = [record(task, "a", values={"macs": 10}) for task in ("alpha", "beta", "gamma")]
    after = [record(task, "b", values={"macs": macs}) for task, macs in (("alpha", 5), ("beta", 20))]
    found = compare(side("a", before), side("b", after), ["macs"], title="t", excluded=["beta"])
    assert [line.task for line in found.lines] == ["overall", "alpha", "beta"]
    assert lines(found)["macs"].change.middle == pytest.approx(0.5)
    assert "Left out: gamma: no record of b" in found.notes


def test_folders_are_paired_on_model_and_recipe(record):
    before = [record("alpha", recipe, values={"macs": 10}) for recipe in ("none", "svd", "gone")]
    after = [record("alpha", recipe, values={"macs": macs}) for recipe, macs in (("none", 10), ("svd", 12))]
    found = compare(side("old", before, with_recipe=True), side("new", after, with_recipe=True), ["macs"], title="t")
    assert [line.row for line in found.worse] == [("tiny", "svd")]
    assert "Left out: tiny, gone: no record of new" in found.notes


def test_a_ratio_of_numbers_that_are_not_positive_is_absent(record):
    cells = [
        {("alpha", 0): StoredRecord(record=record("alpha", "a", values={"macs": macs}), path=Path())} for macs in (0, 5)
    ]
    assert change_of("macs", *cells, ["alpha"], [0]) == Absent("macs on alpha: 0; a ratio needs positive numbers")


def test_the_table_is_exact(record):
    drop = {"drop": 0.1, "drop_low": 0.07, "drop_high": 0.12, "drop_p": 0.004}
    before = record("alpha", "none", 0.9, values={"size_bytes": 400_000_000})
    after = record("alpha", "svd", 0.8, values={"size_bytes": 100_000_000, **drop}, warnings={"not-faster": "1.0x"})
    found = compare(side("none", [before]), side("svd", [after]), ["quality", "size_bytes", "macs"], title="Trio")
    assert render(found.table(), "table", width=120) == (
        "Trio (model tiny)\n"
        "\n"
        "task     column           A       B  kind                            change  verdict  test\n"
        "─────────────────────────────────────────────────────────────────────────────────────────────────\n"
        "overall  quality      90.0%   80.0%  difference  -10.0 points [-12.0, -7.0]  worse    paired drop\n"
        "overall  size_bytes  400 MB  100 MB  ratio                            0.25x  better   counted\n"
        "overall  macs            –¹      –¹  –¹                                  –¹  –¹       –¹\n"
        "alpha    quality      90.0%   80.0%  difference  -10.0 points [-12.0, -7.0]  worse    paired drop\n"
        "alpha    size_bytes  400 MB  100 MB  ratio                            0.25x  better   counted\n"
        "alpha    macs            –¹      –¹  –¹                                  –¹  –¹       –¹\n"
        "\n"
        "A: none. B: svd. Changes are from A to B.\n"
        "Verdict: better or worse if the 95 % interval excludes no change and the change is above 3 % (times, energy, "
        "memory,\n"
        "  sizes) or of any size (scores).\n"
        "There is one seed, so a difference of scores is over the examples of one trained model and holds for that "
        "model.\n"
        "Flag of svd: not-faster: 1.0x\n"
        "¹ macs on alpha: the record has no such column\n"
    )


def test_a_change_is_called_only_if_its_interval_excludes_none_and_it_is_larger_than_the_threshold(record):
    def verdict(middle, half, **thresholds):
        before = record("alpha", "a", values={"speedup": 1.0, "speedup_low": 1.0, "speedup_high": 1.0})
        after = record("alpha", "b", values=ended("speedup", middle, half))
        found = compare(side("a", [before]), side("b", [after]), ["speedup"], title="t", **thresholds)
        return lines(found)["speedup"].verdict

    assert verdict(0.95, 0.01) == "worse"
    assert verdict(0.98, 0.001) == "no change"  # sure, and too small to matter
    assert verdict(0.98, 0.001, ratio_threshold=0.01) == "worse"
    assert verdict(0.90, 0.2) == "no change"  # large, and not sure
    assert verdict(1 / 1.03 + 1e-9, 0.001) == "no change"
    assert verdict(1 / 1.03 - 1e-9, 0.001) == "worse"  # the estimate is beyond the threshold, not its whole interval


def test_of_a_score_the_test_decides_unless_a_smallest_difference_is_given(record):
    before = record("alpha", "none", 0.9)
    drop = {"drop": 0.005, "drop_low": 0.001, "drop_high": 0.009, "drop_p": 0.01}
    sides = side("none", [before]), side("svd", [record("alpha", "svd", 0.895, values=drop)])
    found = lines(compare(*sides, ["quality"], title="t"))["quality"]
    assert (found.verdict, found.threshold) == ("worse", 0.0)
    assert lines(compare(*sides, ["quality"], title="t", score_threshold=0.01))["quality"].verdict == "no change"


def test_what_the_second_side_lacks_is_missing_and_what_it_has_beyond_is_left_out(record):
    before = [record(task, "a", values={"macs": 10}) for task in ("alpha", "beta")]
    after = [record(task, "b", values={"macs": 10}) for task in ("beta", "gamma")]
    found = compare(side("a", before), side("b", after), ["macs"], title="t")
    assert found.missing == ("alpha: no record of b",)
    assert {"Left out: alpha: no record of b", "Left out: gamma: no record of a"} <= set(found.notes)
    both = [[record("beta", recipe, values={"macs": 10}) for recipe in own] for own in (("x", "y"), ("y", "z"))]
    found = compare(side("old", both[0], with_recipe=True), side("new", both[1], with_recipe=True), ["macs"], title="t")
    assert found.missing == ("tiny, x: no record of new",)


def test_a_value_that_one_side_lacks_is_lacking_and_one_that_both_lack_if_it_was_asked_for(record):
    before = record("alpha", "a", values={"macs": 10, "size_bytes": 5})
    after = record("alpha", "b", values={"macs": 10}, absent={"size_bytes": "why", "load_s": "skipped"})
    found = compare(side("a", [before]), side("b", [after]), ["macs", "size_bytes", "load_s"], title="t")
    one = "tiny: size_bytes on alpha: no value of B: size_bytes on alpha: why"
    assert found.lacking([]) == [one]
    none = "tiny: load_s on alpha: no value of A and B: load_s on alpha: "
    assert [text.partition("the record")[0] for text in found.lacking(["load_s", "macs"])][1] == none
    assert [line.column for line, _ in found.undecided] == ["size_bytes", "load_s"]


def test_if_no_task_counts_overall_the_tasks_decide(record):
    sides = [side(name, [record("alpha", name, values={"macs": macs})]) for name, macs in (("a", 10), ("b", 20))]
    found = compare(*sides, ["macs"], title="t", excluded=["alpha"])
    assert [(line.task, line.verdict) for line in found.worse] == [("alpha", "worse")]


def test_the_smallest_change_that_matters_stands_beside_every_verdict(record):
    values = {"macs": 10, "size_bytes": 5}
    sides = [side(name, [record("alpha", name, values=values)]) for name in "ab"]
    table = compare(*sides, ["quality", "macs"], title="t", score_threshold=0.02, ratio_threshold=0.05).table()
    assert [row["change_least"] for row in table.rows] == [0.02, 0.05, 0.02, 0.05]
    assert "change_least" in render(table, "csv").splitlines()[0].split(",")
    assert "the change is above 5 % (times, energy, memory, sizes) or above 0.02 (scores)" in " ".join(table.notes)
