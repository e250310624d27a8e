"""A published figure is judged by the interval of the measured one, and left open where that tells nothing."""

from __future__ import annotations

import pytest

from bench.analysis.table import Absent
from bench.base.statistics import Interval
from bench.report.survey.figures import Relative, judged, relative, said
from bench.report.survey.sets import result_sets
from bench.spec.recipe import Figure


def figure(**typed) -> Figure:
    return Figure(figure="as it says", source="here", **typed)


def of(low: float, middle: float, high: float) -> Relative:
    return Relative(middle, Interval(middle, low, high))


@pytest.mark.parametrize(
    ("expect", "interval", "judgement"),
    [
        ("higher", (1.9, 2.0, 2.1), "as published"),
        ("higher", (0.99, 1.0, 1.01), "not as published"),
        ("higher", (0.8, 1.2, 1.6), "not judged"),
        ("higher", (0.4, 0.5, 0.6), "not as published"),
        ("lower", (0.4, 0.5, 0.6), "as published"),
        ("lower", (1.9, 2.0, 2.1), "not as published"),
        ("lower", (0.9, 0.97, 1.05), "not judged"),
        ("same", (0.98, 1.0, 1.02), "as published"),
        ("same", (0.9, 1.0, 1.1), "not judged"),
        ("same", (0.8, 0.85, 0.9), "not as published"),
        ("not lower", (0.98, 1.1, 1.3), "as published"),
        ("not lower", (0.9, 1.0, 1.1), "not judged"),
        ("not lower", (0.8, 0.85, 0.9), "not as published"),
    ],
)
def test_a_direction_is_judged_where_the_whole_interval_tells(expect, interval, judgement):
    assert judged(figure(column="speedup", expect=expect), of(*interval)) == judgement


def test_without_an_interval_a_value_or_an_expectation_nothing_is_judged():
    typed = figure(column="speedup", expect="higher")
    assert judged(typed, Relative(2.0, None)) == "not judged"
    assert judged(typed, Absent("not run")) == "not judged"
    assert judged(figure(column="speedup", value=2.0), of(1.9, 2.0, 2.1)) == "not judged"


def test_both_numbers_stand_beside_each_other():
    typed = figure(column="speedup", value=1.45, expect="higher")
    assert said(typed, of(1.9, 2.0, 2.1)) == (
        "speedup: 1.45x published, 2.00x [1.90, 2.10] measured, direction as published"
    )
    assert said(figure(column="macs", expect="lower"), of(0.4, 0.4, 0.4)) == (
        "macs: lower published, 0.40x measured, direction as published"
    )
    assert said(typed, Absent("too noisy")) == "speedup: 1.45x published, not measured (too noisy)"


def test_counted_columns_are_the_artifacts_over_the_references_and_exact(file, suite):
    file("alpha", "none")
    (found,) = result_sets(file("alpha", "svd", values={"params": 25}), {suite.name: suite})
    (row,) = found.runs("svd")
    assert relative(found, row, "params") == of(0.25, 0.25, 0.25)
    assert relative(found, row, "compression") == of(2.0, 2.0, 2.0)
    assert relative(found, row, "speedup") == of(1.9, 2.0, 2.1)
    assert relative(found, row, "quality") == relative(found, row, "retention")


def test_what_cannot_be_set_beside_the_reference_says_why(file, suite):
    (found,) = result_sets(file("alpha", "svd"), {suite.name: suite})
    (row,) = found.runs("svd")
    assert relative(found, row, "params") == Absent("the reference lacks a record of some cell")
    assert "compared by quality only" in relative(found, row, "pearson").reason


def test_a_score_of_one_seed_is_judged_only_if_the_recipe_trains_nothing(file, suite):
    kept = {"quality": 0.48, "retention": 0.6, "retention_low": 0.55, "retention_high": 0.65}
    tuned = [{"method": "factorize", "arguments": {"ratio": 0.25, "budget": 1.0}, "seconds": 1.0}]
    packed = [{"method": "quantize", "arguments": {}, "seconds": 1.0}]
    file("alpha", "svd", values=kept, stages=tuned)
    (found,) = result_sets(file("alpha", "int8", values=kept, stages=packed), {suite.name: suite})
    lower, faster = figure(column="quality", expect="lower"), figure(column="speedup", expect="higher")
    trained, still = (found.runs(name)[0] for name in ("svd", "int8"))
    assert said(lower, relative(found, trained, "quality")).endswith(
        "[0.55, 0.65] measured, direction not judged (one seed)"
    )
    assert judged(lower, relative(found, still, "quality")) == "as published"
    assert judged(faster, relative(found, trained, "speedup")) == "as published"
