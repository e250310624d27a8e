"""Which points of a set some other point dominates, for many sets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_BLOCK = 128  # points compared with all that may beat them in one step


def dominated(gains: Array) -> Array:
    """Which points some other point of their set dominates, bool [sets, points].

    A point dominates another if it is at least as good in every column and better in one, so equal points both stay.
    Two columns take a sort and a running maximum (Kung, Luccio and Preparata 1975, "On finding the maxima of a set of
    vectors", theorem 2). More columns compare each point with those of no smaller sum that nothing has beaten yet:
    quickly if few stay, points^2 per set if all do.

    Args:
        gains: [sets, points, columns], finite, all maximised, at least two columns.
    """
    import numpy as np

    if gains.shape[-1] == 2:
        return _of_two(gains)
    return np.stack([_of_many(one) for one in gains]) if len(gains) else np.zeros(gains.shape[:2], dtype=bool)


def _of_two(gains: Array) -> Array:
    import numpy as np

    order = np.lexsort((-gains[..., 1], -gains[..., 0]), axis=-1)  # [sets, points], best first column first
    first, second = (np.take_along_axis(gains[..., part], order, axis=-1) for part in range(2))
    best = np.full_like(second, -np.inf)  # of the second column, over the points before
    best[:, 1:] = np.maximum.accumulate(second, axis=-1)[:, :-1]
    # The place of the first point that reached `best`: of all with that value, the best in the first column.
    record = np.where(second > best, np.arange(second.shape[-1]), 0)
    holder = np.zeros_like(record)
    holder[:, 1:] = np.maximum.accumulate(record, axis=-1)[:, :-1]
    worse = (best > second) | ((best == second) & (np.take_along_axis(first, holder, axis=-1) > first))
    found: Array = np.empty_like(worse)
    np.put_along_axis(found, order, worse, axis=-1)
    return found


def _of_many(gains: Array) -> Array:
    """Of one set, [points, columns]."""
    import numpy as np

    # A point that dominates another has no smaller sum, also after rounding, and comes first if the sums are equal.
    order = np.lexsort((*gains.T[::-1], gains.sum(axis=-1)))[::-1]
    left, places = gains[order], order
    found = np.ones(len(gains), dtype=bool)
    while len(left):
        stays = ~beaten(left[:_BLOCK], left[:_BLOCK])
        found[places[:_BLOCK][stays]] = False
        open_ = ~beaten(left[_BLOCK:], left[:_BLOCK][stays])
        left, places = left[_BLOCK:][open_], places[_BLOCK:][open_]
    return found


def beaten(points: Array, others: Array) -> Array:
    """Which of `points` [points, columns] some of `others` [others, columns] dominates."""
    import numpy as np

    ours, theirs = points[:, None, :], others[None, :, :]
    none_worse = np.ones((len(points), len(others)), dtype=bool)
    better = np.zeros_like(none_worse)
    for part in range(points.shape[-1]):
        none_worse &= theirs[..., part] >= ours[..., part]
        better |= theirs[..., part] > ours[..., part]
    return np.asarray((none_worse & better).any(axis=1))
