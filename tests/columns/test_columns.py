"""Columns are declared once, and every one of them is given by exactly one measure."""

import subprocess
import sys

import pytest

from bench.base.errors import UnknownNameError
from bench.columns import COLUMNS, column
from bench.measures.base.measure import MEASURES


def test_every_column_is_given_by_exactly_one_measure_or_by_boards():
    given = [name for _, measure in MEASURES.items() for name in measure.columns]
    of_boards = [item.name for item in COLUMNS.values() if item.of_boards]
    assert sorted(given + of_boards) == sorted(COLUMNS)


def test_an_unknown_column_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'quality'"):
        column("qualty")


@pytest.mark.parametrize(("suffix", "unit"), [("_s", "s"), ("_bytes", "B"), ("_kwh", "kWh")])
def test_a_unit_in_a_name_is_the_unit_of_the_column(suffix, unit):
    wrong = [item.name for item in COLUMNS.values() if item.name.endswith(suffix) and item.unit != unit]
    assert wrong == []


def test_columns_are_listed_without_torch_and_numpy():
    code = "import sys; from bench.columns import COLUMNS; list(COLUMNS); print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
