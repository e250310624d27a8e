"""A front as a picture: every recipe a labelled point, the front a step line, the reference a star."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis.pareto import Front
from bench.analysis.seeds import bars
from bench.analysis.standings import Standing
from bench.analysis.table import Absent
from bench.base.errors import RecordError
from bench.columns import column
from bench.report import picture
from bench.report.axis import Axis, axis_for
from bench.report.labels import Name, Segment, annotate
from bench.report.render import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 60  # points that are all named; of more, those on the front


def draw_front(front: Front, path: Path) -> None:
    """Draw a front over its first two columns into a PNG or SVG file, as the ending of `path` says.

    With more than two columns, membership still counts all of them, so no line is drawn. Of more than `NAMED` rows only
    the reference and, if they are no more than that, those on the front are named. The same front gives the same bytes
    of SVG. Raises `RecordError` for another ending, if no recipe has both values, and if the file cannot
    be written.
    """
    picture.save_picture(path, lambda: figure_of(front))


def figure_of(front: Front) -> Figure:
    """The figure of a front; raises `RecordError` if it has no row."""
    if not front.rows:
        reasons = "; ".join(dict.fromkeys(f"{row.recipe}: {why}" for row, why in front.left_out))
        raise RecordError(f"nothing to plot over {', '.join(front.columns)}: every recipe lacks a value. {reasons}")
    figure, axes = picture.page()
    name_x, name_y = front.columns[:2]
    across = axis_for(column(name_x), _extent(front.rows, name_x))
    up = axis_for(column(name_y), _extent(front.rows, name_y))
    picture.scale(axes, "x", across)
    picture.scale(axes, "y", up)
    picture.lay_grid(axes)
    points = [(_value(row, name_x) / across.factor, _value(row, name_y) / up.factor) for row in front.rows]
    steps = _steps([points[index] for index in sorted(front.members)], across, up) if len(front.columns) == 2 else []
    if steps:
        xs, ys = zip(*steps, strict=True)
        axes.plot(xs, ys, color=picture.INK, linewidth=1.1, alpha=0.75, zorder=2, solid_joinstyle="miter")
        axes.fill_between(xs, ys, up.worst, color=picture.INK, alpha=0.035, linewidth=0, zorder=1)
    drawn = _draw_points(axes, front, points, across, up)
    _draw_legend(axes, front, with_line=bool(steps))
    _draw_words(figure, front)
    names, shown = _named(front), _shown(front)
    if len(shown) < len(points):
        drawn = []  # of so many that no label could keep clear of all
    annotate(axes, [names[index] for index in shown], [points[index] for index in shown], drawn, steps)
    return figure


def _shown(front: Front) -> list[int]:
    """The rows whose names are written."""
    everyone = range(len(front.rows))
    if len(front.rows) <= NAMED:
        return list(everyone)
    members = front.members if len(front.members) <= NAMED else frozenset()
    return [index for index in everyone if index in members or front.rows[index].is_reference]


def _value(row: Standing, name: str) -> float:
    value = row.values[name]
    if isinstance(value, Absent):
        raise TypeError(f"{row.recipe} is on a plot without a value of {name}")
    return float(value)


def _extent(rows: Sequence[Standing], name: str) -> list[float]:
    return [item for row in rows for item in (_value(row, name), *(row.bar(name) or ()))]


def _steps(members: Sequence[tuple[float, float]], across: Axis, up: Axis) -> list[tuple[float, float]]:
    """The corners of the line between what some recipe reaches and what none does, out to the worst ends."""
    ordered = sorted(set(members), key=lambda point: point[0], reverse=across.column.better == "higher")
    corners = [(ordered[0][0], up.worst), ordered[0]]
    for (_, y), (next_x, next_y) in itertools.pairwise(ordered):
        corners += [(next_x, y), (next_x, next_y)]
    return [*corners, (across.worst, ordered[-1][1])]


def _style(front: Front) -> dict[str, tuple[str, str]]:
    families = sorted({row.family for row in front.rows if not row.is_reference})
    return {family: picture.style(index) for index, family in enumerate(families)}


def _draw_points(
    axes: Axes, front: Front, points: Sequence[tuple[float, float]], across: Axis, up: Axis
) -> list[Segment]:
    """Draw marks and uncertainty bars; returns the bars' ends in axis units."""
    styles = _style(front)
    drawn: list[Segment] = []
    for index, (row, (x, y)) in enumerate(zip(front.rows, points, strict=True)):
        colour, marker = (picture.INK, "*") if row.is_reference else styles[row.family]
        own: list[Segment] = []
        if ends := row.bar(front.columns[0]):
            own.append(((ends[0] / across.factor, y), (ends[1] / across.factor, y)))
        if ends := row.bar(front.columns[1]):
            own.append(((x, ends[0] / up.factor), (x, ends[1] / up.factor)))
        for start, end in own:
            cap = "|" if start[1] == end[1] else "_"
            xs, ys = zip(start, end, strict=True)
            axes.plot(xs, ys, color=colour, linewidth=1, marker=cap, markersize=5, zorder=3)
        drawn += own
        size = 170 if row.is_reference else 46
        face = colour if index in front.members else "white"
        axes.scatter([x], [y], s=size, marker=marker, facecolor=face, edgecolor=colour, linewidth=1.3, zorder=4)
    return drawn


def _named(front: Front) -> list[Name]:
    """Each row's label: the recipe, with the model if there are several."""
    several = len({row.model for row in front.rows}) > 1
    names = []
    for row in front.rows:
        text = "reference" if row.is_reference else plain(row.recipe)
        names.append(Name(text=f"{text} ({plain(row.model)})" if several else text, strong=row.is_reference))
    return names


def _draw_legend(axes: Axes, front: Front, *, with_line: bool) -> None:
    from matplotlib.lines import Line2D

    entries: list[tuple[Any, str]] = []
    if any(row.is_reference for row in front.rows):
        entries.append((picture.mark("*", picture.INK, picture.INK, 12), "reference"))
    entries += [
        (picture.mark(marker, colour, colour, 7), plain(family)) for family, (colour, marker) in _style(front).items()
    ]
    entries.append((picture.mark("o", picture.PALE, picture.PALE, 7), "filled: on the front"))
    entries.append((picture.mark("o", "white", picture.PALE, 7), "hollow: dominated"))
    if any(column(name).is_score and row.bar(name) for name in front.columns[:2] for row in front.rows):
        entries.append((picture.bar(), bars(len(front.standings.seeds))))
    if with_line:
        entries.append((Line2D([], [], color=picture.INK, linewidth=1.1), "front"))
    picture.draw_legend(axes, entries)


def _draw_words(figure: Figure, front: Front) -> None:
    """The words of the page, what was left out among them."""
    own = front.standings
    tasks = f"mean of {len(own.counted)} tasks" if len(own.counted) > 1 else f"task {own.counted[0]}"
    seeds = f"seed{'s' if len(own.seeds) > 1 else ''} {', '.join(map(str, own.seeds))}"
    left = f"  ·  left out: {len(front.left_out)} (see the table)" if front.left_out else ""
    models = ", ".join(dict.fromkeys(row.model for row in front.rows))
    few = len(_shown(front)) < len(front.rows)
    named = f"  ·  {len(front.rows):,} rows, named: {_said_of_names(front)}" if few else ""
    said = f"{models}  ·  {tasks}, {seeds}  ·  machine {own.machine}{left}{named}"
    picture.draw_words(figure, own.suite.title, said, generated=own.generated)


def _said_of_names(front: Front) -> str:
    return "the front" if len(front.members) <= NAMED else "the reference only (see the table)"
