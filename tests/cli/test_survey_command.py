"""`bench survey` from the command line, on the results that the repository publishes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.base.errors import RecordError
from bench.cli import app

RESULTS = Path(__file__).parents[2] / "results"


def call(*arguments):
    done = CliRunner().invoke(app, ["survey", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_json_is_a_list_of_tables_with_bare_numbers():
    tables = json.loads(call("--results", RESULTS, "--format", "json"))
    rows = [row["values"] for table in tables for row in table["rows"]]
    assert len({row["row"] for row in rows if "row" in row}) == 102
    assert all(isinstance(row["speedup"], float) for row in rows if "speedup" in row)


def test_the_suffix_of_the_file_chooses_the_form(tmp_path):
    path = tmp_path / "survey.csv"
    assert call("--results", RESULTS, "--out", path) == f"wrote {path}\n"
    first, *_ = csv.reader(path.read_text(encoding="utf-8").splitlines())
    assert first[:3] == ["family", "rows", "run"]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no such folder"):
        call("--results", tmp_path / "nowhere")


def test_writing_the_page_imports_no_torch():
    code = (
        "import sys; from pathlib import Path; from bench.report.survey.page import page_of; "
        f"page_of(Path({str(RESULTS)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
