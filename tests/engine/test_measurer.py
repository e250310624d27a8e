"""What the measuring child does around its measures: order, and the budget of each."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.engine.measurer import _account, _read, _skipped
from bench.measures.base.measure import MEASURES, Reading
from bench.measures.timing.latency import Latency


def account(seconds, **budgets):
    reading = Reading()
    pair = SimpleNamespace(setting=SimpleNamespace(measuring=SimpleNamespace(budgets_s=budgets)))
    _account(reading, MEASURES.get("latency"), seconds, pair)
    return reading


def test_a_measure_within_its_budget_says_how_long_it_took():
    reading = account(1.0)
    assert reading.conditions == {"took_s": 1.0, "budget_s": Latency.budget_s}
    assert reading.warnings == []


def test_a_measure_over_its_budget_is_flagged_and_the_suite_may_change_it():
    assert [code for code, _ in account(Latency.budget_s + 1).warnings] == ["over-budget"]
    assert [code for code, _ in account(1.0, latency=0.5).warnings] == ["over-budget"]
    assert account(Latency.budget_s + 1, latency=100.0).warnings == []


def test_all_budgets_together_are_ninety_seconds_at_most():
    assert sum(plugin.budget_s for _, plugin in MEASURES.items()) <= 90


@pytest.mark.parametrize("name", MEASURES.names())
def test_every_measure_states_a_budget_of_its_own(name):
    assert "budget_s" in vars(type(MEASURES.get(name)))


def test_a_skipped_measure_leaves_every_column_with_the_reason():
    latency = MEASURES.get("latency")
    reading = _skipped(latency)
    assert reading.values == {}
    assert set(reading.absent) == set(latency.columns)
    assert set(reading.absent.values()) == {"left out: measuring.skip of the setting names 'latency'"}


def read(values, reference=None, samples=None):
    reading = Reading(values=dict(values), reference=dict(reference or {}), samples=samples or {})
    plugin = SimpleNamespace(name="made", columns=("quality", "load_s"), read=lambda pair: reading)
    return _read(plugin, None)


def test_a_measured_value_that_is_not_finite_is_absent_with_the_reason():
    nan, inf = float("nan"), float("inf")
    reading = read({"quality": nan, "load_s": 2.0}, {"quality": 0.5, "load_s": inf})
    assert (reading.values, reading.reference) == ({"load_s": 2.0}, {})
    assert reading.absent == {"quality": "measure 'made' gave nan, which is not a finite number"}
    assert reading.warnings == [("reference-not-finite", "load_s of the reference is inf, so it is left out.")]


def test_a_sample_that_is_not_finite_fails_the_cell():
    with pytest.raises(
        RuntimeError, match=r"measure 'made' gave a number that is not finite: samples\.loads\[1\]: inf"
    ):
        read({"quality": 1.0, "load_s": 2.0}, samples={"loads": [1.0, float("inf")]})
