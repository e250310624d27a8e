"""Results from a folder: what is read, narrowed and refused, and that boards are those of the analysis."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import bench
from bench.analysis.leaderboard import leaderboard
from bench.analysis.pareto import pareto
from bench.analysis.table import ResultTable
from bench.base.errors import RecordError, UnknownNameError
from bench.library.views import TableView
from bench.records.record import read_records
from bench.report.render import render

PUBLISHED = Path(__file__).parents[2] / "results" / "stsb"
SUITE = "glue-quantized"


@pytest.fixture(scope="module")
def results():
    """The published records of one suite on one machine."""
    return bench.load_results(PUBLISHED, SUITE)


def test_everything_of_a_suite_is_read_from_its_folder(results):
    assert list(results) == read_records(PUBLISHED, SUITE)
    assert len(results) > 0
    assert bench.load_results(PUBLISHED / SUITE, SUITE).records == results.records
    assert bench.load_results(PUBLISHED / SUITE).records == results.records


def test_boards_and_fronts_are_those_of_the_analysis(results):
    suite = bench.load_suite(SUITE)
    tasks = ["stsb"]
    assert results.leaderboard().table == leaderboard(suite, results.records, tasks=tasks).table()
    assert bench.leaderboard(SUITE, PUBLISHED).table == results.leaderboard().table
    front = pareto(suite, results.records, ["size_bytes", "quality"], tasks=tasks)
    assert results.pareto("size_bytes").table == front.table()
    assert bench.pareto(suite, results, x="size_bytes").front == front


def test_a_narrowed_set_holds_what_was_asked_for_and_nothing_else(results):
    bases = {record.recipe_base for record in results}
    one = sorted(bases - {"none"})[0]
    only = results.only(recipes=["none", one])
    assert {record.recipe_base for record in only} == {"none", one}
    assert len(only) == sum(record.recipe_base in ("none", one) for record in results)
    assert len(results.only(machine="another")) == len(results.only(tasks=["another"])) == 0
    assert results.only().records == results.records


def test_a_set_compared_with_a_copy_of_it_has_not_changed(results, tmp_path):
    copy = shutil.copytree(PUBLISHED / SUITE, tmp_path / SUITE)
    same = bench.compare(PUBLISHED / SUITE, copy, columns=["size_bytes", "macs"])
    assert {line.verdict for line in same.comparison.lines} == {"no change"}
    assert {line.row[1] for line in same.comparison.lines} == {record.recipe for record in results}
    assert bench.compare(results, bench.load_results(copy), columns=["size_bytes"]).comparison.missing == ()


def test_what_cannot_be_read_or_ranked_says_so(results, tmp_path):
    with pytest.raises(RecordError, match="no such folder"):
        bench.load_results(tmp_path / "nowhere")
    with pytest.raises(UnknownNameError, match="Did you mean 'demo'"):
        bench.load_results(tmp_path, "dmo")
    with pytest.raises(RecordError, match=rf"no records of demo in {re.escape(str(tmp_path))} yet"):
        bench.leaderboard("demo", tmp_path)
    with pytest.raises(RecordError, match=r"no records of .* found"):
        results.only(machine="of-another").leaderboard()
    with pytest.raises(RecordError, match="no records found"):
        _ = bench.load_results(tmp_path).suite
    other = results.found[0].record.model_copy(update={"suite": "sst2"})
    both = bench.Results((*results.found, type(results.found[0])(record=other, path=Path("x"))))
    with pytest.raises(RecordError, match=r"Several suites found. Choose one with `suite`: glue-quantized, sst2"):
        both.leaderboard()
    assert both.only(suite=SUITE).leaderboard().table == results.leaderboard().table


def test_a_page_shows_names_as_they_are_and_runs_nothing_of_them():
    name = '<script>alert("x")</script>'
    view = TableView(
        table=ResultTable(title=name, columns=("recipe", "says"), rows=({"recipe": name, "says": "a & b"},))
    )
    shown = view._repr_html_()
    assert "<script>" not in shown
    assert shown.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;") == 2
    assert "a &amp; b" in shown
    assert "<script>" in repr(view)


def test_a_view_writes_the_form_that_the_ending_names(results, tmp_path):
    view = results.leaderboard()
    for ending, form in ((".md", "md"), (".csv", "csv"), (".json", "json"), (".html", "html"), (".txt", "table")):
        assert view.save(tmp_path / f"board{ending}").read_text(encoding="utf-8") == render(view.table, form, width=120)


def test_every_missing_cell_of_a_table_has_its_reason_in_the_frame(results):
    table = results.table()
    frame = table.to_pandas()
    missing = frame.isna()
    assert missing.to_numpy().any()
    for index, reasons in enumerate(frame["absent"]):
        assert {name for name in table.table.columns if missing.at[index, name]} == set(reasons)
