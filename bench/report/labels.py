"""Place the names of points on a plot: next to them, without overlap with names, points or the frame."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]
Segment = tuple[Point, Point]

_WRAP = 24  # characters; a longer name is written on two lines
_LEADER = 24.0  # pixels; a label farther from its point gets a thin line to it
_STYLE: dict[str, Any] = {"fontsize": 7.8, "color": "#1b1b1b", "linespacing": 1.05, "parse_math": False}

_RADII = (14.0, 22.0, 32.0, 44.0, 62.0, 84.0, 110.0, 142.0, 180.0, 230.0)
_ANGLES = (0, 180, 30, 150, 330, 210, 90, 270, 60, 120, 300, 240)  # degrees; the first are preferred
_SWEEPS = 8
_SHARES = (0.25, 0.5, 0.75)  # where along its way a label's line is checked
_HARD = 1e4  # a covered label, point or frame costs more than any distance
_SOFT = 0.15  # a covered line, by area
_CROSSING = 60.0  # the way from a point to its label meets another label or another way


class Box(NamedTuple):
    """A rectangle with `left < right` and `low < high`, in pixels or any other unit."""

    left: float
    low: float
    right: float
    high: float

    def overlap(self, other: Box) -> float:
        """The area that both cover; 0 if they only touch."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        tall = min(self.high, other.high) - max(self.low, other.low)
        return wide * tall if wide > 0 and tall > 0 else 0.0

    def nearest(self, point: Point) -> Point:
        """The point of the rectangle that is nearest to `point`."""
        return min(max(point[0], self.left), self.right), min(max(point[1], self.low), self.high)

    def grown(self, margin: float) -> Box:
        """The rectangle with a margin on every side."""
        return Box(self.left - margin, self.low - margin, self.right + margin, self.high + margin)


def place(
    points: Sequence[Point],
    sizes: Sequence[Point],
    *,
    frame: Box,
    obstacles: Sequence[Box] = (),
    lines: Sequence[Box] = (),
) -> list[Box]:
    """A box of the given size for each point, near it.

    Every label takes the cheapest of fixed places around its point, given the others; this is repeated until none
    moves. The same input gives the same places.

    Args:
        points: the points' positions; their own marks should be among `obstacles`.
        sizes: width and height of each label.
        frame: the labels should stay inside.
        obstacles: boxes not to be covered.
        lines: boxes better not covered.
    """
    if not points:
        return []
    options = [list(_options(point, size)) for point, size in zip(points, sizes, strict=True)]
    fixed = [
        [_fixed_cost(cost, point, box, frame, obstacles, lines) for cost, box in choices]
        for point, choices in zip(points, options, strict=True)
    ]
    chosen = [min(range(len(costs)), key=costs.__getitem__) for costs in fixed]
    for _ in range(_SWEEPS):
        before = list(chosen)
        for index, choices in enumerate(options):
            others = [
                (points[other], options[other][chosen[other]][1]) for other in range(len(points)) if other != index
            ]
            chosen[index] = _cheapest(points[index], choices, fixed[index], others)
        if chosen == before:
            break
    return [options[index][choice][1] for index, choice in enumerate(chosen)]


def _options(point: Point, size: Point) -> Iterator[tuple[float, Box]]:
    """Places around a point with the cost of their distance and side, cheapest first."""
    wide, tall = size
    for radius in _RADII:
        for order, angle in enumerate(_ANGLES):
            across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            left = point[0] + radius * across + wide / 2 * (_side(across) - 1)
            low = point[1] + radius * up + tall / 2 * (_side(up) - 1)
            yield radius + 0.5 * order, Box(left, low, left + wide, low + tall)


def _side(direction: float) -> float:
    """-1, 0 or 1: on which side of the point the label hangs."""
    return 0.0 if abs(direction) < 0.1 else math.copysign(1.0, direction)


def _fixed_cost(
    cost: float, point: Point, box: Box, frame: Box, obstacles: Sequence[Box], lines: Sequence[Box]
) -> float:
    """What a place costs whatever the other labels do: distance, and what it covers or its way runs through."""
    area = (box.right - box.left) * (box.high - box.low)
    outside = area - box.overlap(frame)
    covered = sum(box.overlap(obstacle) for obstacle in obstacles)
    crossed = sum(box.overlap(line) for line in lines)
    way = [_between(point, box.nearest(point), share) for share in _SHARES]
    met = sum(not _inside(point, obstacle) and any(_inside(at, obstacle) for at in way) for obstacle in obstacles)
    hard = _HARD * (outside > 1e-6 * area) + _HARD * (covered > 0)
    return cost + hard + outside + covered + _SOFT * crossed + _CROSSING * met


def _cheapest(
    point: Point, choices: Sequence[tuple[float, Box]], fixed: Sequence[float], others: Sequence[tuple[Point, Box]]
) -> int:
    """The index of the cheapest place; a place is compared with the other labels only while it could still win."""
    best, least = 0, math.inf
    for index, (_, box) in enumerate(choices):
        if fixed[index] >= least:
            continue
        covered = sum(box.overlap(other) for _, other in others)
        cost = fixed[index] + covered + _HARD * (covered > 0)
        if cost < least:
            cost += _CROSSING * sum(_meet(point, box, *other) for other in others)
        if cost < least:
            best, least = index, cost
    return best


def _meet(point: Point, box: Box, other_point: Point, other_box: Box) -> bool:
    """Whether the ways from two points to their labels cross, or one runs through the other's label."""
    near, other_near = box.nearest(point), other_box.nearest(other_point)
    if _cross(point, near, other_point, other_near):
        return True
    ways = ((point, near, other_box), (other_point, other_near, box))
    return any(_inside(_between(start, end, share), label) for start, end, label in ways for share in _SHARES)


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments ab and cd cross inside both: each one's ends lie on either side of the other."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _inside(point: Point, box: Box) -> bool:
    return box.left < point[0] < box.right and box.low < point[1] < box.high


class Name(NamedTuple):
    """A point's label, and whether it is written in bold with a larger mark under it."""

    text: str
    strong: bool


def annotate(
    axes: Axes, names: Sequence[Name], points: Sequence[Point], bars: Sequence[Segment], steps: Sequence[Point]
) -> None:
    """Write each name next to its point.

    Args:
        axes: the axes, with their final scales and limits, on an Agg canvas.
        names: one label a point; text with brackets breaks before them if it is long.
        points: positions in axis units.
        bars: lines that no name covers, in axis units.
        steps: corners of a line that names cover only if there is no better place, in axis units.
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
