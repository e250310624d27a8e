"""`bench pivot` on published records: a table, files and a picture of one grid."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.base.errors import RecordError
from bench.cli import app
from bench.spec.suite import SUITES_DIR, load_suite

PUBLISHED = Path(__file__).parents[2] / "results" / "sst2"


def pivot(*words, suite="glue-unstructured"):
    arguments = ["pivot", suite, "--results", str(PUBLISHED), *words]
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


def test_without_axes_a_suite_shows_its_own_findings():
    (finding,) = load_suite("study-prasanna").findings
    shown = pivot(suite="study-prasanna")
    asked = pivot("--rows", "recipe", "--rows", "schedule.pick", "--columns", "schedule.rewind", suite="study-prasanna")
    assert shown.output.startswith(f"{finding.title}: quality")
    assert shown.output.splitlines()[1:] == asked.output.splitlines()[1:]


@pytest.mark.parametrize(
    ("suite", "words"),
    [
        ("glue-small", ()),
        ("study-prasanna", ("--value", "retention")),
        ("study-prasanna", ("--where", "schedule.pick=bad")),
    ],
)
def test_a_suite_without_findings_and_other_wishes_ask_for_axes(suite, words):
    with pytest.raises(RecordError, match="a pivot needs at least one --rows and one --columns"):
        pivot(*words, suite=suite)


def test_a_finding_without_records_is_named_and_the_others_are_shown(tmp_path):
    text = (SUITES_DIR / "study-prasanna.toml").read_text(encoding="utf-8")
    more = '\n[[findings]]\ntitle = "Nowhere"\nrows = ["recipe"]\ncolumns = ["task"]\n'
    more += 'where = { "schedule.pick" = "none such" }\n'
    path = tmp_path / "more.toml"
    path.write_text(text + more, encoding="utf-8")
    shown = pivot(suite=str(path))
    assert "Good, random and bad" in shown.output
    assert "not shown: Nowhere: no records of study-prasanna belong in this table" in shown.stderr
    alone = tmp_path / "alone.toml"
    alone.write_text(text[: text.index("[[findings]]")] + more, encoding="utf-8")
    with pytest.raises(RecordError, match="Nowhere: no records"):
        pivot(suite=str(alone))


def test_words_down_the_side_cannot_be_drawn_and_nothing_is_written(tmp_path):
    with pytest.raises(RecordError, match="at least two numbers"):
        pivot("--rows", "recipe", "--columns", "sparsity", "--out", str(tmp_path / "grid.svg"))
    assert not list(tmp_path.iterdir())
