"""The hypervolume of a front with respect to a reference point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.analysis.dominance import dominated

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SLICES = 100_000  # most slices of two dimensions that a volume is computed from; a second has some 20,000


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """The volume that at least one of `points` dominates and that lies above `reference`, all maximised.

    Exact in any number of dimensions, by slicing along the last one (While et al. 2006, "A faster algorithm for
    calculating hypervolume", section III), down to two, which take one sort. With n points that no other dominates the
    cost grows with n log n in two dimensions and with n^(dimensions - 1) log n in more. A point that is not above the
    reference in every dimension adds nothing.

    Args:
        points: [points, dimensions], of which some may dominate others.
        reference: [dimensions], at least one.
    """
    import numpy as np

    low = np.asarray(reference, dtype=np.float64)
    given = np.asarray(points, dtype=np.float64).reshape(-1, len(low))
    above = given[(given > low).all(axis=-1)]
    if len(low) > 2 and len(above):
        above = above[~dominated(above[None])[0]]
    return _volume(above, low)


def _volume(points: Array, low: Array) -> float:
    """The same of points that are all above."""
    import numpy as np

    if not len(points):
        return 0.0
    if len(low) == 1:
        return float(points.max() - low[0])
    if len(low) == 2:
        ordered = points[np.argsort(points[:, 1])]
        widths = np.maximum.accumulate(ordered[::-1, 0])[::-1] - low[0]
        return float(np.cumsum(widths * np.diff(ordered[:, 1], prepend=low[1]))[-1])
    volume, floor = 0.0, float(low[-1])
    for height in np.unique(points[:, -1]).tolist():
        volume += _volume(points[points[:, -1] >= height, :-1], low[:-1]) * (height - floor)
        floor = height
    return volume


class Cover(NamedTuple):
    """What a front covers of the box between a reference point and the best value of every column.

    `volume` is in the product of the columns' units, None if it would take more than `SLICES` slices; `share` is of the
    box, None without a volume and if the box has none.
    """

    volume: float | None
    share: float | None
    reference: tuple[float, ...]
    best: tuple[float, ...]


def cover(
    points: Sequence[Sequence[float]], signs: Sequence[float], reference: Sequence[float] | None = None
) -> Cover | None:
    """The hypervolume of `points`, of which there may be none.

    Args:
        points: [points, columns], in the columns' own units.
        signs: [columns], 1.0 if higher is better and -1.0 if lower is.
        reference: [columns], in the columns' own units; None is the worst value of each column, against which a point
            that is worst in some column adds nothing.
    """
    if not points:
        return None
    gains = [[sign * value for sign, value in zip(signs, point, strict=True)] for point in points]
    best = [max(column) for column in zip(*gains, strict=True)]
    worst = [min(column) for column in zip(*gains, strict=True)]
    start = worst if reference is None else [sign * value for sign, value in zip(signs, reference, strict=True)]
    volume = hypervolume(gains, start) if _slices(gains) <= SLICES else None
    box = math.prod(max(high - low, 0.0) for high, low in zip(best, start, strict=True))
    return Cover(
        volume=volume,
        share=volume / box if volume is not None and box > 0 else None,
        reference=tuple(sign * value for sign, value in zip(signs, start, strict=True)),
        best=tuple(sign * value for sign, value in zip(signs, best, strict=True)),
    )


def _slices(gains: Sequence[Sequence[float]]) -> int:
    """How many slices of two dimensions the volume takes at the most."""
    import numpy as np

    further = len(gains[0]) - 2
    return int((~dominated(np.array([gains]))).sum()) ** further if further > 0 else 1
