"""The page of columns is what the code says, and every oracle that it names is a test that exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.columns import COLUMNS

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_command_writes():
    page = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
    made = CliRunner().invoke(app, ["list", "columns", "--format", "md"]).output
    assert page == made, "run: bench list columns --format md > docs/columns.md"


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_names_its_source_and_a_test_that_exists(name):
    column = COLUMNS[name]
    assert column.source
    file, test = column.oracle.split("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
