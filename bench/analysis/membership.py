"""Dominance between rows, how surely each is on a front given its intervals, and names that models share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from bench.base.statistics import Interval
from bench.records.record import Failure, Record

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


DIGITS = 8  # of the fingerprint, behind the name

Item = TypeVar("Item", Record, Failure)


class Apart(NamedTuple):
    """Records and failures whose models have unique names, and a sentence for each name that was shared."""

    records: list[Record]
    failures: list[Failure]
    notes: tuple[str, ...]


def told_apart(records: Sequence[Record], failures: Sequence[Failure] = ()) -> Apart:
    """The same records; models of one name with different content are called `NAME@FINGERPRINT`, eight digits of it.

    Two folders may both be called `checkpoint-500`. A record or failure that does not say what its model held keeps
    the plain name.
    """
    shared = shared_names([*records, *failures])
    notes = tuple(
        f"{len(contents)} different models are called {name}: {', '.join(contents)}. Give each its own name with "
        "`bench run --name`."
        for name, contents in shared.items()
    )
    return Apart([renamed(item, shared) for item in records], [renamed(item, shared) for item in failures], notes)


def shared_names(items: Iterable[Record | Failure]) -> dict[str, tuple[str, ...]]:
    """The names that models of different content share, each with the names by which they are told apart."""
    contents: dict[str, set[str]] = defaultdict(set)
    for item in items:
        content = content_of(item)
        if content is not None:
            contents[item.model].add(content)
    return {
        name: tuple(f"{name}@{content[:DIGITS]}" for content in sorted(found))
        for name, found in contents.items()
        if len(found) > 1
    }


def renamed(item: Item, shared: Iterable[str]) -> Item:
    """`item`, its model told apart by its content if the name is among the `shared`."""
    content = content_of(item)
    if item.model not in shared or content is None:
        return item
    return item.model_copy(update={"model": f"{item.model}@{content[:DIGITS]}"})


def content_of(item: Record | Failure) -> str | None:
    """The fingerprint of the model's files; None if the record or failure does not hold it."""
    if isinstance(item, Failure):
        return item.model_fingerprint
    found = item.provenance.get("model", {}).get("fingerprint")
    return None if found is None else str(found)


def is_called(model: str, wanted: str) -> bool:
    """Whether `wanted` is the model's name, or the name that it shares with others."""
    return model == wanted or model.startswith(f"{wanted}@")


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
