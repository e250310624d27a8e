"""A grid of recipes as a table: one argument down, another across, a column's value in each cell."""

from __future__ import annotations

from bench.analysis.grid import Label, RecipeGrid
from bench.analysis.table import Absent, Cell, ResultTable, Shown
from bench.columns import IntervalNames
from bench.columns.numbers import both, heading, written


def pivot(grid: RecipeGrid) -> ResultTable:
    """The table of a grid, with the ends of intervals in columns that only files show."""
    axes = grid.axes
    return ResultTable(
        title=f"{grid.title}: {heading(grid.column)} by {' and '.join(axes.rows)} and by {' and '.join(axes.columns)}",
        columns=(*axes.rows, *(name for label in grid.across for name in _names(grid, label))),
        rows=tuple(_row(grid, row) for row in grid.rows),
        notes=grid.notes,
        hidden=frozenset(end for label in grid.across for end in IntervalNames.of(grid.name(label))[:2]),
        generated=grid.generated,
    )


def _names(grid: RecipeGrid, label: Label) -> list[str]:
    """The table's columns for one label: its values and, if it has intervals, their ends."""
    title = grid.name(label)
    ends = any(grid.at(row, label).ends for row in grid.rows)
    return [title, *(IntervalNames.of(title).names() if ends else ())]


def _row(grid: RecipeGrid, row: Label) -> dict[str, Cell]:
    cells: dict[str, Cell] = dict(zip(grid.axes.rows, row, strict=True))
    for label in grid.across:
        title = grid.name(label)
        low, high = IntervalNames.of(title).names()
        value, ends, seeds = grid.at(row, label)
        if isinstance(value, Absent):
            cells |= dict.fromkeys((title, low, high), value)
            continue
        text = written(grid.column, value)
        if len(seeds) == 2:
            text += f" {both(grid.column, seeds)}"
        elif ends:
            text += " [{}, {}]".format(*(written(grid.column, end).rstrip("x%") for end in ends))
        cells |= {
            title: Shown(value, text),
            **dict(zip((low, high), ends or (Absent("no interval"),) * 2, strict=True)),
        }
    return cells
