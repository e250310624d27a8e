"""A grid of recipes as a table: the right value in the right cell, and a reason where there is none."""

from __future__ import annotations

import json

import pytest

from bench.analysis.arguments import stated
from bench.analysis.grid import Axes, grid_of
from bench.analysis.grid import pivot as tabulated
from bench.analysis.table import Absent
from bench.base.errors import RecordError, UnknownNameError
from bench.records.record import StageLog
from bench.report.render import render
from bench.spec.recipe import Stage


def pivot(suite, records, axes, **more):
    return tabulated(grid_of(suite, records, axes, **more))


def values(table):
    return [
        [cell.reason if isinstance(cell, Absent) else getattr(cell, "value", cell) for cell in row.values()]
        for row in (
            {name: row[name] for name in table.columns if not name.endswith(("_low", "_high"))} for row in table.rows
        )
    ]


def test_cells_are_means_over_tasks_and_the_reference_is_the_first_row(suite, grid):
    table = pivot(suite, grid, Axes(rows=("sparsity",), columns=("schedule.rewind",)))
    assert [name for name in table.columns if "_" not in name] == [
        "sparsity",
        "schedule.rewind shuffled",
        "schedule.rewind start",
    ]
    reference, half, most = values(table)
    assert reference == ["reference", pytest.approx(0.85), pytest.approx(0.85)]
    assert half == ["0.5", pytest.approx(0.55), pytest.approx(0.85)]
    assert most[:1] + most[2:] == ["0.9", pytest.approx(0.65)]
    assert "no recipe" in most[1]


def test_with_tasks_across_every_task_has_its_own_reference_in_the_suites_order(suite, grid):
    table = pivot(suite, grid, Axes(rows=("sparsity",), columns=("task",)), where={"schedule.rewind": "start"})
    assert [row[:3] for row in values(table)] == [
        ["reference", pytest.approx(0.9), pytest.approx(0.8)],
        ["0.5", pytest.approx(0.8), pytest.approx(0.9)],
        ["0.9", pytest.approx(0.6), pytest.approx(0.7)],
    ]


def test_with_tasks_down_the_reference_is_the_first_column(suite, grid):
    table = pivot(suite, grid, Axes(rows=("task",), columns=("sparsity",)), where={"schedule.rewind": "start"})
    assert values(table) == [
        ["alpha", pytest.approx(0.9), pytest.approx(0.8), pytest.approx(0.6)],
        ["beta", pytest.approx(0.8), pytest.approx(0.9), pytest.approx(0.7)],
    ]


def test_a_cell_that_several_recipes_fall_into_names_them_and_has_no_value(suite, grid):
    table = pivot(suite, grid, Axes(rows=("sparsity",), columns=("task",)))
    half = values(table)[1]
    assert "2 recipes share this cell" in half[1]
    assert "schedule.rewind=shuffled" in half[1]


def test_a_source_by_target_matrix_has_masks_from_down_and_tasks_across(suite, cell):
    records = [
        cell(task, quality, schedule__masks_from=source)
        for source, row in (("alpha", (0.9, 0.6)), ("beta", (0.7, 0.8)))
        for task, quality in zip(("alpha", "beta"), row, strict=True)
    ]
    table = pivot(suite, records, Axes(rows=("schedule.masks_from",), columns=("task",)))
    assert values(table) == [["alpha", 0.9, 0.6], ["beta", 0.7, 0.8]]


def test_an_argument_that_came_after_the_record_has_its_default(suite, cell):
    table = pivot(suite, [cell("alpha", 0.7)], Axes(rows=("schedule.masks_from",), columns=("saliency",)))
    assert values(table) == [["none", 0.7]]
    assert table.columns[:2] == ("schedule.masks_from", "saliency magnitude")


def test_an_argument_that_the_chosen_plug_in_does_not_take_is_none():
    def of(schedule):
        return stated([Stage(method="prune", arguments={"sparsity": 0.5, "schedule": schedule})])

    carried = of({"name": "gradual", "weights_from": "alpha"})
    assert (carried["schedule"], carried["schedule.weights_from"]) == ("gradual", "alpha")
    assert (carried["schedule.afterwards"], carried["schedule.rounds"]) == ("1", "none")
    assert (of("rounds")["schedule.weights_from"], of("rounds")["schedule.rounds"]) == ("none", "1")


def test_seeds_are_averaged_with_their_spread_unless_they_are_an_axis(suite, cell):
    records = [cell("alpha", quality, seed=seed) for seed, quality in ((0, 0.6), (1, 0.8))]
    (mean,) = pivot(suite, records, Axes(rows=("sparsity",), columns=("task",))).rows
    assert mean["alpha"].value == pytest.approx(0.7)
    assert mean["alpha_high"] - 0.7 > 0.05  # wider than over examples alone
    by_seed = pivot(suite, records, Axes(rows=("seed",), columns=("task",)))
    assert values(by_seed) == [["0", 0.6], ["1", 0.8]]


def test_a_missing_task_or_seed_leaves_a_cell_without_a_mean(suite, cell):
    records = [cell("alpha", 0.6), cell("beta", 0.8), cell("beta", 0.9, seed=1)]
    table = pivot(suite, records, Axes(rows=("sparsity",), columns=("saliency",)))
    assert "no record of alpha, seed 1" in values(table)[0][1]


def test_text_shows_intervals_and_files_hold_their_ends_unrounded(suite, grid):
    table = pivot(suite, grid, Axes(rows=("sparsity",), columns=("task",)), where={"schedule.rewind": "start"})
    assert "80.0% [75.0, 85.0]" in render(table)
    assert "alpha_low" not in render(table)
    rows = json.loads(render(table, "json"))["rows"]
    assert rows[1]["values"]["alpha_low"] == pytest.approx(0.75)
    assert "no interval" in rows[0]["absent"]["alpha_low"] or "says nothing" in rows[0]["absent"]["alpha_low"]


def test_recipes_without_an_axis_are_named_in_a_note(suite, grid, record):
    other = record("alpha", "svd", 0.7, stages=(StageLog(method="factorize", arguments={}, seconds=1.0),))
    table = pivot(suite, [*grid, other], Axes(rows=("sparsity",), columns=("schedule.rewind",)))
    assert any("Not in this table, since they lack an argument of it: svd" in note for note in table.notes)


@pytest.mark.parametrize(
    ("axes", "where", "error", "says"),
    [
        (Axes((), ("task",)), {}, RecordError, "at least one --rows and one --columns"),
        (Axes(("task",), ("task",)), {}, RecordError, "each name once"),
        (Axes(("sparsety",), ("task",)), {}, UnknownNameError, "Did you mean 'sparsity'"),
        (Axes(("rewind",), ("task",)), {}, UnknownNameError, "Write schedule.rewind"),
        (
            Axes(("sparsity",), ("task",)),
            {"schedule.rewinds": "start"},
            UnknownNameError,
            "Did you mean 'schedule.rewind'",
        ),
        (Axes(("sparsity",), ("task",)), {"schedule.rewind": "never"}, RecordError, "belong in this table"),
    ],
)
def test_what_cannot_be_arranged_is_refused(suite, grid, axes, where, error, says):
    with pytest.raises(error, match=says):
        pivot(suite, grid, axes, where=where)
