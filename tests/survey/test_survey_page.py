"""The page claims no row without a run, and sets published figures beside measured ones."""

from __future__ import annotations

import pytest

from bench.analysis.table import Absent, Shown
from bench.base.errors import UnknownNameError
from bench.report.survey.page import page_of, written
from bench.spec.baseline import Baseline


@pytest.fixture
def pages(suite):
    return lambda root: page_of(root, {suite.name: suite})


def status(page) -> dict[str, str]:
    return {each.row.id: each.status for each in page.found}


def lines(tables, recipe: str):
    return [row for table in tables for row in table.rows if row.get("recipe") == recipe]


def test_without_records_no_row_is_run(tmp_path, pages):
    (tmp_path / "results").mkdir()
    page = pages(tmp_path / "results")
    found = status(page)
    assert not {"run", "run in part"} & set(found.values())
    assert (found["W1"], found["X1"], found["D13"]) == ("tested, not run", "tested, not run", "not there")
    text = written(page, "md", beside=tmp_path)
    assert text.startswith("# The rows of the survey: 0 of 102 have runs, 0 of them in part\n")
    assert "There are no records yet." in text


def test_a_row_is_run_where_a_recipe_of_it_has_a_record_and_a_metric_where_a_column_has_a_value(file, pages):
    before = status(pages(file("alpha", "none")))
    page = pages(file("alpha", "svd"))
    after = status(page)
    assert (before["L0"], after["L0"]) == ("tested, not run", "run")
    assert (before["M2"], before["M4"], after["M4"]) == ("run", "tested, not run", "run")
    assert {row for row in after if before[row] != after[row]} <= {"L0", "M1", "M4", "M6"}


def test_a_failure_is_no_run(file, fail, pages):
    root = file("alpha", "none")
    fail("alpha", "svd")
    assert status(pages(root))["L0"] == "tested, not run"


def test_a_mechanism_is_run_in_part_and_so_is_a_row_with_something_missing(file, pages):
    file("alpha", "drone")
    found = status(pages(file("alpha", "magnitude-pruning")))
    assert (found["L6"], found["P2"]) == ("run in part", "run in part")


def test_a_rows_line_has_the_numbers_of_the_board_and_one_without_a_run_has_a_reason(file, pages):
    file("alpha", "none")
    file("alpha", "svd")
    page = pages(file("alpha", "svd[ratio=0.5]", values={"speedup": 1.5}))
    (line,) = lines(page.rows, "svd[ratio=0.5]")
    assert (line["row"], line["result set"], line["speedup"], line["compression"]) == ("L0", "duo", 1.5, 2.0)
    (idle,) = lines(page.rows, "noach-goldberg")
    assert idle["speedup"] == Absent("no run")
    metric = next(row for row in page.rows[0].rows if row["row"] == "M1")
    assert metric["records"] == 3
    assert "bleu" in metric["in no record"]
    assert "quality" not in metric["in no record"]


def test_a_published_figure_stands_beside_the_measured_one_with_its_mark_and_the_reason_of_people(file, pages):
    file("alpha", "none")
    root = file("alpha", "noach-goldberg", values={"params": 70})
    (root / "notes.toml").write_text('[notes]\nnoach-goldberg = "a small model"\n', encoding="utf-8")
    (line,) = lines(pages(root).published, "noach-goldberg")
    assert line["published"] == (
        "40% fewer parameters than BERT-base; 1.45 times as fast; minimal loss on GLUE (abstract; verified)."
    )
    assert line["direction and size"] == (
        "params: 0.60x published, 0.70x measured, direction as published; "
        "speedup: 1.45x published, 2.00x [1.90, 2.10] measured, direction as published; "
        "quality: same published, 1.00x [0.99, 1.01] measured, direction as published"
    )
    assert line["macs ratio"].value == pytest.approx(2.0)
    assert line["why"] == "a small model"
    assert line["compress_epochs"] == Absent("compress_epochs on alpha: the record has no such column")


def test_a_figure_of_one_variant_is_not_put_to_another(file, pages):
    file("alpha", "none")
    file("alpha", "albert-sharing")
    file("alpha", "albert-sharing[init=mean]")
    page = pages(file("alpha", "albert-sharing[parts=attention]"))
    (whole,), (attention,), (mean,) = (
        lines(page.published, f"albert-sharing{arguments}") for arguments in ("", "[parts=attention]", "[init=mean]")
    )
    assert "80.1" in whole["published"]
    assert "81.7" not in whole["published"]
    assert attention["direction and size"].startswith("quality: 1.00x published")
    assert mean["published"] == "nothing for these arguments"


def test_every_recipe_of_a_family_is_in_its_table_or_named_below_it(file, pages):
    page = pages(file("alpha", "svd"))
    table = next(table for table in page.published if table.title.endswith(": low-rank"))
    assert [row["recipe"] for row in table.rows] == ["svd"]
    assert "drone" in table.notes[0]
    assert "svd," not in table.notes[0]
    assert not any("reference" in table.title for table in page.published)


def test_links_are_relative_to_the_documents_folder(file, pages, tmp_path):
    page = pages(file("alpha", "svd", folder="sharing/duo"))
    assert "[sharing/duo](../results/sharing/duo): Duo; model tiny; 1 records." in written(
        page, "md", beside=tmp_path / "docs"
    )
    assert "bench leaderboard duo --results results/sharing --setting" in written(page, "md", beside=tmp_path)


def test_an_unknown_form_is_refused(file, pages):
    root = file("alpha", "svd")
    with pytest.raises(UnknownNameError, match="no format named 'xml'"):
        written(pages(root), "xml", beside=root)


def test_findings_of_a_suite_are_shown_for_its_sets_and_left_out_where_nothing_falls_into_them(file, suite):
    file("alpha", "none")
    root = file("alpha", "svd", values={"quality": 0.7})
    asked = [
        {"title": "By recipe", "rows": ["recipe"], "columns": ["task"]},
        {"title": "Elsewhere", "rows": ["recipe"], "columns": ["task"], "where": {"task": "beta"}},
    ]
    wider = suite.model_validate({**suite.model_dump(), "findings": asked})
    page = page_of(root, {suite.name: wider})
    (table,) = page.findings
    assert table.title == "duo: By recipe"
    assert [row["recipe"] for row in table.rows] == ["reference", "svd"]
    assert table.rows[1]["alpha"] == Shown(0.7, "70.0%")
    text = written(page, "md", beside=root)
    assert text.index("## Rows") < text.index("## Findings") < text.index("## Published against measured")
    assert "## Findings" not in written(page_of(root, {suite.name: suite}), "md", beside=root)


def test_a_column_of_boards_counts_as_run_where_a_board_has_a_value(file, suite):
    scored = suite.model_copy(update={"baseline": Baseline(title="shallow models", recipe="svd")})
    for task in ("alpha", "beta"):
        for rank, flops, quality in ((1, 10, 0.5), (2, 20, 0.7)):
            root = file(task, f"svd[rank={rank}]", values={"flops": flops, "quality": quality})
    without = next(each for each in page_of(root, {suite.name: suite}).found if each.row.id == "M14")
    having = next(each for each in page_of(root, {suite.name: scored}).found if each.row.id == "M14")
    assert (without.sets, without.status) == ((), "tested, not run")
    assert having.status == "run in part"
    table = next(table for table in page_of(root, {suite.name: scored}).rows if table.title.startswith("Metrics"))
    line = next(row for row in table.rows if row["row"] == "M14")
    assert (line["columns"], line["records"], line["in no record"]) == ("elue_score", 4, "")


def test_a_direction_that_is_a_suite_has_a_line_for_every_recipe_that_ran_in_it(file, suite):
    root = file("alpha", "svd", suite="spam", folder="spam")
    spam = suite.model_copy(update={"name": "spam"})
    page = page_of(root, {"spam": spam})
    own = [row for table in page.rows for row in table.rows if row["row"] == "D4"]
    assert [(row["recipe"], row["result set"], row["status"]) for row in own] == [("svd", "spam", "run")]
