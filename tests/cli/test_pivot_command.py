"""`bench pivot` on published records: a table, files and a picture of one grid."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import RecordError

PUBLISHED = Path(__file__).parents[2] / "results" / "sst2"


def pivot(*words):
    arguments = ["pivot", "glue-unstructured", "--results", str(PUBLISHED), *words]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_one_call_lists_and_draws_the_same_grid(tmp_path):
    files = [tmp_path / name for name in ("grid.csv", "grid.png")]
    done = pivot(
        "--rows", "sparsity", "--columns", "recipe", *(word for file in files for word in ("--out", str(file)))
    )
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.output.splitlines()] == ["wrote", "wrote"]
    with files[0].open(encoding="utf-8") as stream:
        reference, *rows = list(csv.DictReader(stream))
    assert reference["sparsity"] == "reference"
    assert {row["sparsity"] for row in rows} >= {"0.5", "0.7", "0.9", "0.97"}
    (half,) = (row for row in rows if row["sparsity"] == "0.5")
    assert 0 < float(half["magnitude-pruning"]) < 1
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_words_down_the_side_cannot_be_drawn_and_nothing_is_written(tmp_path):
    with pytest.raises(RecordError, match="at least two numbers"):
        pivot("--rows", "recipe", "--columns", "sparsity", "--out", str(tmp_path / "grid.svg"))
    assert not list(tmp_path.iterdir())
