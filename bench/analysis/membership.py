"""How surely each row is on a front, given the interval of each of its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis.dominance import beaten, dominated
from bench.base.statistics import Interval

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

DRAWS = 2000
LARGE = 500  # rows over more than two columns from which on there are fewer draws
_FEWEST = 100
_NORMAL = 1.959963984540054  # standard deviations from the middle of a normal distribution to its 97.5 % quantile
_CHUNK = 100  # draws held in memory at a time
_ROWS = 500  # rows compared with all others at a time


def draws_for(rows: int, columns: int) -> int:
    """How often a front of so many rows is drawn: `DRAWS`, fewer for large fronts over more than two columns.

    There the time of a draw can grow with rows^2, so draws fall with rows^2 beyond `LARGE`, to 100 at the least.
    """
    if columns <= 2 or rows <= LARGE:
        return DRAWS
    return max(_FEWEST, round(DRAWS * (LARGE / rows) ** 2 / _CHUNK) * _CHUNK)


def on_front(rows: Sequence[Sequence[Interval]], signs: Sequence[float], *, seed: int = 0) -> list[float]:
    """The share of `draws_for` draws of all values in which each row is dominated by no other.

    A value is drawn from two half normal distributions that meet at its middle, so that 2.5 % of the draws lie below
    its low and 2.5 % above its high end; a value whose ends equal its middle is not varied. Values are drawn
    independently, although rows that were evaluated on the same examples err together: a share near one half says
    that the front is open, not that paired tests could not close it.

    Args:
        rows: [rows, columns], each value with the ends of its 95 % interval.
        signs: [columns], 1.0 if higher is better and -1.0 if lower is.
        seed: of the draws.
    """
    import numpy as np

    if not rows:
        return []
    middle, low, high = (np.array([[value[part] for value in row] for row in rows]) for part in range(3))
    generator = np.random.default_rng(seed)
    draws = draws_for(*middle.shape)
    counts = np.zeros(len(rows))
    for _ in range(draws // _CHUNK):
        z = generator.standard_normal((_CHUNK, *middle.shape))  # [draws, rows, columns]
        drawn = middle + z / _NORMAL * np.maximum(np.where(z > 0, high - middle, middle - low), 0)
        counts += _stays(drawn * np.asarray(signs)).sum(axis=0)
    return [float(count) / draws for count in counts]


def _stays(gains: Array) -> Array:
    """Which rows no other row dominates, bool [draws, rows], of gains [draws, rows, columns], all maximised.

    A row whose best draws are beaten by the worst draws of another is dominated in all of them, and so is whatever it
    dominates; such rows are set aside first.
    """
    import numpy as np

    best, worst = gains.max(axis=0), gains.min(axis=0)
    open_ = ~_always_beaten(best, worst)
    stays = np.zeros(gains.shape[:2], dtype=bool)
    stays[:, open_] = ~dominated(gains[:, open_])
    return stays


def _always_beaten(best: Array, worst: Array) -> Array:
    """Which rows have a `best` [rows, columns] that the `worst` of some other row dominates."""
    import numpy as np

    floor = worst[~dominated(worst[None])[0]]
    return np.concatenate([beaten(best[at : at + _ROWS], floor) for at in range(0, len(best), _ROWS)])
