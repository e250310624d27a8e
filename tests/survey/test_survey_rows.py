"""The rows are all there, under ids that recipes use, and every test and suite that they name exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.base.errors import SuiteError
from bench.report.survey.rows import survey_rows
from bench.spec.recipe import read_recipe, recipe_names
from bench.spec.suite import suite_names

TESTS = Path(__file__).parents[1]
FIRST_AND_LAST = {
    "M": (1, 15),
    "B": (1, 6),
    "W": (1, 7),
    "L": (0, 8),
    "P": (1, 21),
    "Q": (1, 10),
    "K": (1, 16),
    "X": (1, 4),
    "D": (1, 14),
}


def test_all_102_rows_of_the_survey_are_there_in_its_order():
    expected = [f"{kind}{n}" for kind, (first, last) in FIRST_AND_LAST.items() for n in range(first, last + 1)]
    assert [row.id for row in survey_rows()] == expected
    assert len(expected) == 102


def test_names_are_unique():
    names = [row.name for row in survey_rows()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", [row for row in survey_rows() if row.all_tests()], ids=lambda row: row.id)
def test_a_row_names_tests_that_exist(row):
    for named in row.all_tests():
        file, test = named.split("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, named


def test_the_rows_of_every_recipe_are_rows_of_the_survey():
    known = {row.id for row in survey_rows()}
    used = {row for name in recipe_names() for row in read_recipe(name).rows}
    assert used
    assert used <= known


def test_a_row_with_a_recipe_of_weight_sharing_or_factorization_is_tested():
    rows = {row.id: row for row in survey_rows()}
    families = {name: read_recipe(name) for name in recipe_names()}
    own = {row for file in families.values() if file.family in ("weight-sharing", "low-rank") for row in file.rows}
    assert own == {row for row in rows if row[0] in "WL"}
    assert all(rows[row].tests for row in own)


def test_the_suites_of_benchmarks_exist():
    named = {name for row in survey_rows() for name in row.suites}
    assert named
    assert named <= set(suite_names())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[rows]]\nid = "M1"\nname = "A"\nfamily = "metric"\n' * 2, "duplicate ids: M1"),
        ('[[rows]]\nid = "M1"\nname = "A"\nfamily = "metric"\ncolumns = ["qualty"]\n', "Did you mean 'quality'"),
        ('[[rows]]\nid = "1M"\nname = "A"\nfamily = "metric"\n', "id: expected the form"),
        ('[[rows]]\nid = "M1"\nname = "A"\nfamily = "metrics"\n', "family: expected 'metric'"),
    ],
)
def test_rows_that_make_no_sense_are_refused(tmp_path, text, says):
    path = tmp_path / "rows.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError, match=says):
        survey_rows(path)
