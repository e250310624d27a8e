"""How much of a space a front covers: its hypervolume against a reference point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """The volume that at least one of `points` dominates and that lies above `reference`, all maximised.

    Exact in any number of dimensions, by slicing along the last one (While et al. 2006, "A faster algorithm for
    calculating hypervolume", section III); the cost grows with points^(dimensions - 1), which small fronts afford. A
    point that is not above the reference in every dimension adds nothing.

    Args:
        points: [points, dimensions], of which some may dominate others.
        reference: [dimensions], at least one.
    """
    above = [tuple(point) for point in points if all(own > low for own, low in zip(point, reference, strict=True))]
    if not above:
        return 0.0
    if len(reference) == 1:
        return max(point[0] for point in above) - reference[0]
    volume, floor = 0.0, reference[-1]
    for height in sorted({point[-1] for point in above}):
        slab = hypervolume([point[:-1] for point in above if point[-1] >= height], reference[:-1])
        volume += slab * (height - floor)
        floor = height
    return volume


class Cover(NamedTuple):
    """What a front covers of the box between a reference point and the best value of every column.

    `volume` is in the product of the columns' units; `share` is of the box, None where the box has no volume.
    """

    volume: float
    share: float | None
    reference: tuple[float, ...]
    best: tuple[float, ...]


def cover(
    points: Sequence[Sequence[float]], signs: Sequence[float], reference: Sequence[float] | None = None
) -> Cover | None:
    """The hypervolume of `points`, of which there may be none.

    Args:
        points: [points, columns], in the columns' own units.
        signs: [columns], 1.0 where higher is better and -1.0 where lower is.
        reference: [columns], in the columns' own units; None is the worst value of each column, against which a point
            that is worst in some column adds nothing.
    """
    if not points:
        return None
    gains = [[sign * value for sign, value in zip(signs, point, strict=True)] for point in points]
    best = [max(column) for column in zip(*gains, strict=True)]
    worst = [min(column) for column in zip(*gains, strict=True)]
    start = worst if reference is None else [sign * value for sign, value in zip(signs, reference, strict=True)]
    volume = hypervolume(gains, start)
    box = math.prod(max(high - low, 0.0) for high, low in zip(best, start, strict=True))
    return Cover(
        volume=volume,
        share=volume / box if box > 0 else None,
        reference=tuple(sign * value for sign, value in zip(signs, start, strict=True)),
        best=tuple(sign * value for sign, value in zip(signs, best, strict=True)),
    )
