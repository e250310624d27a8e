"""Records as rows."""

from __future__ import annotations

import pytest

from bench.analysis.table import Absent, table_of
from bench.base.errors import RecordError, UnknownNameError


def test_a_missing_value_is_absent_with_the_records_reason(record):
    table = table_of([record("alpha", "svd", absent={"macs": "an operator is unknown"})], ["quality", "macs", "params"])
    assert table.rows[0]["quality"] == 0.9
    assert table.rows[0]["macs"] == Absent("an operator is unknown")
    assert table.rows[0]["params"] == Absent("the record has no such column")


def test_a_speedup_never_stands_without_its_interval(record):
    values = {"speedup": 2.0, "speedup_low": 1.9, "speedup_high": 2.1}
    table = table_of([record("alpha", "svd", values=values)], ["speedup"])
    assert table.columns[-3:] == ("speedup", "speedup_low", "speedup_high")


def test_the_reference_comes_first_and_rows_are_in_a_fixed_order(record):
    records = [record("beta", "svd"), record("alpha", "svd"), record("alpha", "none"), record("alpha", "svd", seed=1)]
    order = [(row["task"], row["recipe"], row["seed"]) for row in table_of(records).rows]
    assert order == [("alpha", "none", 0), ("alpha", "svd", 0), ("alpha", "svd", 1), ("beta", "svd", 0)]
    assert table_of(records[::-1]) == table_of(records)


def test_machines_may_stand_together_in_a_list(record):
    table = table_of([record("alpha", "svd"), record("alpha", "svd", machine="m2")])
    assert [row["machine"] for row in table.rows] == ["m1", "m2"]


def test_failures_are_named_in_notes(failure):
    table = table_of([], failures=[failure("beta", "svd")])
    assert table.rows == ()
    assert table.notes == ("beta, svd, seed 0: failed in compress: rank 99 is above 32",)


def test_one_generated_record_makes_the_table_generated(record):
    assert not table_of([record("alpha", "svd")]).generated
    assert table_of([record("alpha", "svd"), record("beta", "svd", generated=True)]).generated


def test_unknown_columns_and_empty_lists_are_refused(record):
    with pytest.raises(UnknownNameError, match="Did you mean 'quality'"):
        table_of([record("alpha", "svd")], ["qualty"])
    with pytest.raises(RecordError, match="bench run SUITE"):
        table_of([])
