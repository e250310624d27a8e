"""A grid of recipes as a picture: a curve for each label across the top, over the numbers down the side."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.analysis.grid import REFERENCE, GridCell, Label, RecipeGrid
from bench.analysis.seeds import bars
from bench.analysis.table import Absent
from bench.base.errors import RecordError
from bench.columns.numbers import heading
from bench.report import picture
from bench.report.axis import axis_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_APART = 0.005  # distance of neighbouring curves at one place, as a share of the axis, so that bars stay apart
_DASHED: dict[str, Any] = {"linewidth": 1, "linestyle": (0, (5, 4)), "zorder": 1}
_REACH = 0.05  # of the axis beyond its outermost numbers


class Point(NamedTuple):
    """One cell on a curve: where it is, its value, and the ends of its bar if it has one."""

    x: float
    y: float
    ends: tuple[float, float] | None


def draw_curves(grid: RecipeGrid, path: Path) -> None:
    """Draw a grid with one argument down, all of whose values are numbers, into a PNG or SVG file.

    The reference is a dashed line, of the colour of its curve if every curve has another one. Raises `RecordError`
    for another ending, for a grid that has no such axis, and if no cell has a value.
    """
    picture.save_picture(path, lambda: figure_of_curves(grid))


def figure_of_curves(grid: RecipeGrid) -> Figure:
    """The figure of such a grid; see `draw_curves`."""
    from matplotlib.lines import Line2D

    numbers = _numbers(grid)
    curves = {label: _curve(grid, numbers, label) for label in grid.across}
    curves = {label: points for label, points in curves.items() if points}
    if not curves:
        reasons = {grid.at(row, label).value for row in grid.rows for label in grid.across}
        why = "; ".join(sorted(value.reason for value in reasons if isinstance(value, Absent)))
        raise RecordError(f"nothing to plot: no cell has a value of {grid.column.name} ({why})")
    levels = _references(grid, list(curves))
    shown = [end for points in curves.values() for point in points for end in (point.y, *(point.ends or ()))]
    up = axis_for(grid.column, [*shown, *levels.values()])
    figure, axes = picture.page()
    picture.scale(axes, "y", up)
    _set_across(axes, grid, list(numbers.values()))
    one = len(set(levels.values())) == 1
    entries: list[tuple[Any, str]] = []
    for index, (label, points) in enumerate(curves.items()):
        colour, marker = picture.style(index)
        shift = _APART * (index - (len(curves) - 1) / 2)
        entries.append((_draw(axes, points, colour, marker, shift, up.factor), grid.name(label)))
        if label in levels and not one:
            axes.axhline(levels[label] / up.factor, color=colour, **_DASHED)
    if levels:
        if one:
            axes.axhline(next(iter(levels.values())) / up.factor, color=picture.INK, **_DASHED)
        entries.append((Line2D([], [], color=picture.INK if one else picture.PALE, **_DASHED), REFERENCE))
    if grid.column.is_score and any(point.ends for points in curves.values() for point in points):
        entries.append((picture.bar(), bars(grid.seeds)))
    picture.draw_legend(axes, entries)
    said = [f"{heading(grid.column)} by {grid.axes.rows[0]}", *grid.models, *grid.notes[:1]]
    picture.draw_words(figure, grid.title, "  ·  ".join(said), generated=grid.generated)
    return figure


def _numbers(grid: RecipeGrid) -> dict[Label, float]:
    """The place of every row but the reference's."""
    rows = [row for row in grid.rows if set(row) != {REFERENCE}]
    try:
        numbers = {row: float(row[0]) for row in rows} if len(grid.axes.rows) == 1 else {}
    except ValueError:
        numbers = {}
    if len(set(numbers.values())) < 2 or not all(map(isfinite, numbers.values())):
        found = ", ".join(" ".join(row) for row in rows[:4])
        raise RecordError(
            f"a plot needs one --rows with at least two numbers, such as sparsity; {' and '.join(grid.axes.rows)} "
            f"has {found}. Write a table instead (.md, .csv or .json)."
        )
    return numbers


def _curve(grid: RecipeGrid, numbers: dict[Label, float], label: Label) -> list[Point]:
    """The cells of one label that have a value, from left to right."""
    found = [(x, grid.at(row, label)) for row, x in numbers.items()]
    return sorted(
        Point(x, float(entry.value), entry.bar()) for x, entry in found if not isinstance(entry.value, Absent)
    )


def _references(grid: RecipeGrid, labels: Sequence[Label]) -> dict[Label, float]:
    """The reference's value for each of these labels, if it has one."""
    row: Label = (REFERENCE,)
    entries: dict[Label, GridCell] = {label: grid.at(row, label) for label in labels if row in grid.rows}
    return {label: float(each.value) for label, each in entries.items() if not isinstance(each.value, Absent)}


def _set_across(axes: Axes, grid: RecipeGrid, numbers: Sequence[float]) -> None:
    """The lower side: the argument's own values, if they do not crowd."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    least, most = min(numbers), max(numbers)
    room = _REACH * (most - least)
    axes.set_xlim(least - room, most + room)
    ticks: list[float] = []
    for number in sorted(set(numbers)):
        if not ticks or number - ticks[-1] > room:
            ticks.append(number)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    picture.name(axes.xaxis, grid.axes.rows[0])
    picture.lay_grid(axes)


def _draw(axes: Axes, points: Sequence[Point], colour: str, marker: str, shift: float, factor: float) -> Any:
    """One curve with its bars, moved sideways by `shift` of the axis; returns its legend entry."""
    low, high = axes.get_xlim()
    places = [point.x + shift * (high - low) for point in points]
    for place, point in zip(places, points, strict=True):
        if point.ends:
            ends = [end / factor for end in point.ends]
            axes.plot([place, place], ends, color=colour, linewidth=1, marker="_", markersize=4, alpha=0.8, zorder=3)
    (line,) = axes.plot(
        places,
        [point.y / factor for point in points],
        color=colour,
        linewidth=1.4,
        marker=marker,
        markersize=5.5,
        zorder=4,
    )
    return line
