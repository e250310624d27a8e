"""How surely each row is on a front, given the interval of each of its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.statistics import Interval

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DRAWS = 2000
_NORMAL = 1.959963984540054  # standard deviations from the middle of a normal distribution to its 97.5 % quantile
_CHUNK = 100  # draws held in memory at a time


def on_front(rows: Sequence[Sequence[Interval]], signs: Sequence[float], *, seed: int = 0) -> list[float]:
    """The share of `DRAWS` draws of all values in which each row is dominated by no other.

    A value is drawn from two half normal distributions that meet at its middle, so that 2.5 % of the draws lie below
    its low and 2.5 % above its high end; a value whose ends are its middle stays as it is. Values are drawn
    independently, although rows that were evaluated on the same examples err together: a share near one half says
    that the front is open, not that paired tests could not close it.

    Args:
        rows: [rows, columns], each value with the ends of its 95 % interval.
        signs: [columns], 1.0 where higher is better and -1.0 where lower is.
        seed: of the draws.
    """
    import numpy as np

    if not rows:
        return []
    middle, low, high = (np.array([[value[part] for value in row] for row in rows]) for part in range(3))
    generator = np.random.default_rng(seed)
    counts = np.zeros(len(rows))
    for _ in range(DRAWS // _CHUNK):
        z = generator.standard_normal((_CHUNK, *middle.shape))  # [draws, rows, columns]
        drawn = middle + z / _NORMAL * np.maximum(np.where(z > 0, high - middle, middle - low), 0)
        counts += (~_dominated(drawn * np.asarray(signs))).sum(axis=0)
    return [float(count) / DRAWS for count in counts]


def _dominated(gains: Array) -> Array:
    """Which rows some other row dominates, [draws, rows], of gains [draws, rows, columns], all maximised."""
    import numpy as np

    ours, theirs = gains[:, :, None, :], gains[:, None, :, :]
    dominated: Array = np.any((theirs >= ours).all(axis=-1) & (theirs > ours).any(axis=-1), axis=2)
    return dominated
