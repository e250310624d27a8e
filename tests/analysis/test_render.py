"""Tables as exact text in every format."""

# ruff: noqa: RUF001  # the dash that stands for a missing value is meant

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bench.analysis.leaderboard import leaderboard
from bench.analysis.table import Absent, ResultTable, table_of
from bench.base.errors import UnknownNameError
from bench.report.render import render

COSTS = {"speedup": 2.314, "speedup_low": 2.2, "speedup_high": 2.41, "size_bytes": 91_000_000, "params": 22_713_600}


@pytest.fixture
def table(record):
    return table_of(
        [
            record("alpha", "none", 0.8, values={**COSTS, "speedup": 1.0, "speedup_low": 0.98, "speedup_high": 1.02}),
            record("alpha", "prune[sparsity=0.9]", 0.762, values=COSTS, warnings={"not-smaller": "zeros are stored"}),
            record("beta", "none", None, absent={"speedup": "5 pairs, needs 70"}, generated=True),
        ],
        ["quality", "speedup", "size_bytes", "params"],
    )


def test_text_is_aligned_and_explains_every_dash_and_warning(table, suite):
    assert render(table, "table", width=100) == (
        f"Records (suite trio, machine m1, setting {suite.setting_id}, model tiny, seed 0)\n"
        "\n"
        "task   recipe                  quality↑            speedup↑    size↓  params↓\n"
        "─────────────────────────────────────────────────────────────────────────────\n"
        "alpha  none                       80.0%  1.00x [0.98, 1.02]  91.0 MB    22.7M\n"
        "alpha  prune[sparsity=0.9] !¹     76.2%  2.31x [2.20, 2.41]  91.0 MB    22.7M\n"
        "beta   none                          –²                  –³       –⁴       –⁴\n"
        "\n"
        "Generated data: these numbers show that the harness works, not how good a recipe is.\n"
        "¹ not-smaller: zeros are stored (applies to 1 of 3 records)\n"
        "² labels are hidden\n"
        "³ 5 pairs, needs 70\n"
        "⁴ the record has no such column\n"
    )


def test_columns_without_room_are_named_and_their_reasons_are_not_listed(table):
    assert render(table, "table", width=50).split("\n")[3:] == [
        "task   recipe                  quality↑",
        "───────────────────────────────────────",
        "alpha  none                       80.0%",
        "alpha  prune[sparsity=0.9] !¹     76.2%",
        "beta   none                          –²",
        "",
        "Columns not shown: speedup, size, params. Widen",
        "  the terminal or use --format md.",
        "",
        "Generated data: these numbers show that the",
        "  harness works, not how good a recipe is.",
        "¹ not-smaller: zeros are stored (applies to 1 of 3",
        "  records)",
        "² labels are hidden",
        "",
    ]


def test_markdown_is_exact(table, suite):
    assert render(table, "md") == (
        f"**Records** (suite trio, machine m1, setting {suite.setting_id}, model tiny, seed 0)\n"
        "\n"
        "| task | recipe | quality ↑ | speedup ↑ | size ↓ | params ↓ |\n"
        "| --- | --- | ---: | ---: | ---: | ---: |\n"
        "| alpha | none | 80.0% | 1.00x [0.98, 1.02] | 91.0 MB | 22.7M |\n"
        "| alpha | prune[sparsity=0.9] !¹ | 76.2% | 2.31x [2.20, 2.41] | 91.0 MB | 22.7M |\n"
        "| beta | none | –² | –³ | –⁴ | –⁴ |\n"
        "\n"
        "- Generated data: these numbers show that the harness works, not how good a recipe is.\n"
        "- ¹ not-smaller: zeros are stored (applies to 1 of 3 records)\n"
        "- ² labels are hidden\n"
        "- ³ 5 pairs, needs 70\n"
        "- ⁴ the record has no such column\n"
    )


def test_csv_keeps_every_digit_and_every_reason(table):
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert float(rows[1]["quality"]) == 0.762
    assert rows[1]["params"] == "22713600"
    assert rows[1]["flags"] == "not-smaller"
    assert rows[1]["generated"] == "true"
    assert rows[2]["quality"] == ""
    assert rows[2]["absent"].startswith("quality: labels are hidden; ")
    assert "; speedup: 5 pairs, needs 70" in rows[2]["absent"]
    assert {row["seed"] for row in rows} == {"0"}


def test_json_says_unit_and_direction_and_reason(table):
    data = json.loads(render(table, "json"))
    assert data["generated"] is True
    assert {"name": "size_bytes", "unit": "B", "better": "lower"}.items() <= data["columns"][-3].items()
    assert data["rows"][1]["values"]["speedup"] == 2.314
    assert data["rows"][2]["absent"]["quality"] == "labels are hidden"
    assert "quality" not in data["rows"][2]["values"]


def test_a_board_shows_ranks_tasks_and_the_reason_of_an_unranked_row(suite, row):
    board = leaderboard(suite, [*row("none", 0.9, 0.8, 0.7), *row("svd", 0.9)], tasks=["alpha", "beta"])
    table = board.table()
    narrow = ResultTable(
        title=table.title,
        columns=("rank", "recipe", "quality", "retention", "quality:alpha", "quality:beta"),
        rows=table.rows,
        notes=table.notes,
    )
    assert render(narrow, "table", width=80) == (
        "Trio\n"
        "\n"
        "rank  recipe  quality↑  retention↑  alpha↑  beta↑\n"
        "─────────────────────────────────────────────────\n"
        "   1  none       85.0%      106.2%   90.0%  80.0%\n"
        "  –¹  svd           –¹          –¹   90.0%     –¹\n"
        "\n"
        "Means over 2 tasks (alpha, beta, without gamma) and seed 0, on machine m1.\n"
        "There is one seed, so intervals of scores cover examples only. A recipe that\n"
        "  trains nothing shares its weights with the reference: their difference is\n"
        "  paired over the examples of one trained model and holds for that model.\n"
        "¹ beta, seed 0: no record\n"
    )


def test_text_from_data_cannot_break_out_of_its_cell():
    table = ResultTable(
        title="T",
        columns=("recipe", "quality"),
        rows=({"recipe": "a|b\x1b[31m\n[bold]<b>", "quality": Absent("x\ny")},),
    )
    text = render(table, "table")
    assert "\x1b" not in text
    assert "a|b [31m [bold]<b>" in text
    assert "¹ x y" in text
    assert "| a\\|b [31m [bold]&lt;b> | –¹ |" in render(table, "md")


@given(
    st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60), min_size=1, max_size=5),
    st.integers(40, 120),
)
def test_no_line_is_wider_than_the_terminal(names, width):
    rows = tuple({"recipe": name, "quality": 0.5, "macs": 1e9, "params": 5} for name in names)
    text = render(
        ResultTable(title="T", columns=("recipe", "quality", "macs", "params"), rows=rows), "table", width=width
    )
    assert max(cell_len(line) for line in text.split("\n")) <= width


def test_an_unknown_format_is_refused(table):
    with pytest.raises(UnknownNameError, match="Did you mean 'json'"):
        render(table, "jsn")


def test_a_column_is_shown_where_it_just_fits_and_not_one_character_sooner(table):
    widest = max(len(line) for line in render(table, "table", width=200).split("\n")[2:6])
    assert "No room" not in render(table, "table", width=widest)
    assert "Columns not shown: params." in render(table, "table", width=widest - 1)


def test_a_drop_stands_with_its_interval_and_is_marked_where_its_test_is_not_significant(record):
    sure = {"drop": 0.05, "drop_low": 0.03, "drop_high": 0.07, "drop_p": 0.002}
    unsure = {"drop": 0.01, "drop_low": -0.01, "drop_high": 0.03, "drop_p": 0.31}
    edge = {"drop": 0.02, "drop_low": 0.0, "drop_high": 0.04, "drop_p": 0.05}
    records = [
        record("alpha", "a", values=sure),
        record("alpha", "b", values=unsure),
        record("alpha", "c", values=edge),
    ]
    table = table_of(records, ["drop"])
    assert render(table, "table", width=100).split("\n")[2:] == [
        "task   recipe                   drop↓",
        "─────────────────────────────────────",
        "alpha  a              5.0% [3.0, 7.0]",
        "alpha  b       1.0% [-1.0, 3.0] n.s.¹",
        "alpha  c              2.0% [0.0, 4.0]",
        "",
        "¹ n.s.: not significant; the paired test against the reference has p > 0.05",
        "",
    ]
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert rows[1]["drop_p"] == "0.31"
