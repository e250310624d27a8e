"""The names of points on a plot: beside them, readable, none on another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.analysis.labels import Box, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]
Segment = tuple[Point, Point]

_WRAP = 24  # characters; a longer name is written on two lines
_LEADER = 24.0  # pixels; a label farther from its point gets a thin line to it
_STYLE: dict[str, Any] = {"fontsize": 7.8, "color": "#1b1b1b", "linespacing": 1.05, "parse_math": False}


class Name(NamedTuple):
    """A point's label, and whether it is written in bold with a larger mark under it."""

    text: str
    strong: bool


def annotate(
    axes: Axes, names: Sequence[Name], points: Sequence[Point], bars: Sequence[Segment], steps: Sequence[Point]
) -> None:
    """Write each name beside its point.

    Args:
        axes: the axes, with their final scales and limits, on an Agg canvas.
        names: one label a point; text with brackets breaks before them where it is long.
        points: positions in axis units.
        bars: lines that no name covers, in axis units.
        steps: corners of a line that names cover only where there is no better place, in axis units.
    """
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.2, foreground="white", alpha=0.85)]
    pixels = [_pixels(axes, point) for point in points]
    marks = [Box(x, y, x, y).grown(14 if name.strong else 9) for (x, y), name in zip(pixels, names, strict=True)]
    corners = [_pixels(axes, step) for step in steps]
    extent = axes.get_window_extent()
    boxes = place(
        pixels,
        [_size(axes, name) for name in names],
        frame=Box(extent.x0, extent.y0, extent.x1, extent.y1),
        obstacles=[*marks, *(_around(_pixels(axes, start), _pixels(axes, end)) for start, end in bars)],
        lines=[_around(start, end) for start, end in itertools.pairwise(corners)],
    )
    for name, box, point in zip(names, boxes, pixels, strict=True):
        near = box.nearest(point)
        if (near[0] - point[0]) ** 2 + (near[1] - point[1]) ** 2 > _LEADER**2:
            ends = axes.transData.inverted().transform([point, near])
            axes.plot(ends[:, 0], ends[:, 1], color="#8c8c8c", linewidth=0.6, zorder=2.5)
        on_right = box.left >= point[0]
        middle = (box.low + box.high) / 2
        at = axes.transData.inverted().transform((box.left if on_right else box.right, middle))
        side = "left" if on_right else "right"
        axes.text(
            at[0],
            at[1],
            _wrapped(name),
            ha=side,
            va="center",
            weight=_weight(name),
            zorder=5,
            path_effects=halo,
            **_STYLE,
        )


def _size(axes: Axes, name: Name) -> tuple[float, float]:
    """Width and height of the written name in pixels, with a little air above and below."""
    written = axes.text(0.5, 0.5, _wrapped(name), transform=axes.transAxes, weight=_weight(name), **_STYLE)
    extent = written.get_window_extent()
    written.remove()
    return extent.width, extent.height + 3


def _wrapped(name: Name) -> str:
    stem, bracket, rest = name.text.partition("[")
    return f"{stem}\n[{rest}" if bracket and len(name.text) > _WRAP else name.text


def _weight(name: Name) -> str:
    return "bold" if name.strong else "normal"


def _pixels(axes: Axes, point: Point) -> Point:
    x, y = axes.transData.transform(point)
    return float(x), float(y)


def _around(start: Point, end: Point) -> Box:
    """The box of a horizontal or vertical line, two pixels to either side."""
    (x0, y0), (x1, y1) = start, end
    return Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)).grown(2)
