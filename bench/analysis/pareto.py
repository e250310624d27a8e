"""The Pareto front, its uncertainty and its hypervolume, for columns of mixed directions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bench.analysis.membership import DRAWS, LARGE, dominated, draws_for, on_front
from bench.analysis.standings import Standing, Standings, standings
from bench.analysis.table import Absent, ResultTable, Shown, TableCell
from bench.base.errors import RecordError
from bench.base.statistics import Interval
from bench.columns import COLUMNS, column, with_intervals
from bench.records.record import Failure, Record
from bench.spec.suite import Suite

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Front:
    """A suite's recipes over chosen columns: which are not dominated, and which cannot be compared.

    `members` are indices into `rows`; `left_out` pairs each row that has no value in some column with the reason.
    `certainty` is each row's share of draws in which it is on the front, empty if no value has an interval; `exact`
    says which values have none. `cover` is None for a front without rows.
    """

    standings: Standings
    columns: tuple[str, ...]
    rows: tuple[Standing, ...]
    members: frozenset[int]
    left_out: tuple[tuple[Standing, str], ...]
    certainty: tuple[float, ...]
    exact: tuple[str, ...]
    cover: Cover | None

    def table(self) -> ResultTable:
        """Front rows sorted by the first column, then the dominated rows; rows that are left out become notes."""
        columns = with_intervals(*self.columns)
        order = sorted(range(len(self.rows)), key=lambda index: (index not in self.members, self._rank(index)))
        rows: list[dict[str, TableCell]] = []
        for index in order:
            row = self.rows[index]
            mark = "front" if index in self.members else "dominated"
            cells: dict[str, TableCell] = {
                "front": mark,
                "model": row.model,
                "recipe": row.recipe,
                "family": row.family,
            }
            if self.certainty:
                share = self.certainty[index]
                cells["on_front"] = Shown(share, f"{100 * share:.0f}%")
            cells.update({name: row.shown(name) for name in columns})
            cells["seeds"] = len(self.standings.seeds)
            rows.append({**cells, "flags": ", ".join(row.flags)})
        flags = self.standings.flags
        return ResultTable(
            title=f"{self.standings.suite.title}: front over {', '.join(self.columns)}",
            columns=(
                "front",
                *(("on_front",) if self.certainty else ()),
                "model",
                "recipe",
                "family",
                "seeds",
                *columns,
                *(("flags",) if flags else ()),
            ),
            rows=tuple(rows),
            notes=(
                *self.standings.notes(),
                *self._notes(),
                *(f"Left out: {row.recipe}: {why}" for row, why in self.left_out),
            ),
            flags=flags,
            generated=self.standings.generated,
        )

    def _notes(self) -> list[str]:
        """The uncertainty of the front, and its hypervolume with the reference point."""
        said = []
        if self.certainty:
            exact = f"; treated as exact, since without an interval: {', '.join(self.exact)}" if self.exact else ""
            draws = draws_for(len(self.rows), len(self.columns))
            fewer = f" ({DRAWS:,} up to {LARGE:,} rows)" if draws < DRAWS else ""
            said.append(
                f"On front: share of {draws:,} draws{fewer}, each value drawn within its 95 % interval, in which no "
                f"other row dominates this one{exact}."
            )
            seeded = any(row.trains for row in self.rows) and any(column(name).is_score for name in self.columns)
            if seeded and len(self.standings.seeds) == 1:
                said[-1] += " There is one seed, so this does not cover what other seeds would give."
        elif self.rows:
            said.append("No value has an interval, so the uncertainty of the front is unknown.")
        if self.cover is not None and self.cover.volume is None:
            said.append(
                f"The hypervolume is not computed: {len(self.members):,} rows on a front over {len(self.columns)} "
                f"columns take too long. Use fewer columns or rows."
            )
        elif self.cover is not None:
            whole = f"{self.cover.share:.1%}" if self.cover.share is not None else "none"
            said.append(
                f"Hypervolume: {whole} of the box from the reference point ({self._point(self.cover.reference)}) to "
                f"the best of each column ({self._point(self.cover.best)}); {self.cover.volume:.6g} in the columns' "
                f"own units."
            )
        return said

    def _point(self, values: Sequence[float]) -> str:
        return ", ".join(f"{name} {value:.6g}" for name, value in zip(self.columns, values, strict=True))

    def _rank(self, index: int) -> tuple[float, str]:
        name = self.columns[0]
        value = self.rows[index].values[name]
        if isinstance(value, Absent):
            raise TypeError(f"row {index} of a front has no {name}")
        return (value if column(name).better == "lower" else -value, self.rows[index].recipe)


def pareto(
    suite: Suite,
    records: Sequence[Record],
    columns: Sequence[str],
    *,
    failures: Sequence[Failure] = (),
    tasks: Sequence[str] | None = None,
    reference: Mapping[str, float] | None = None,
) -> Front:
    """The front of a suite's recipes over two or more columns, each aggregated over tasks and seeds.

    `reference` is the hypervolume's reference point, a value for each column; None is the worst value of each.

    Raises `UnknownNameError` for a column that does not exist, and `RecordError` for a column without a better
    direction, for fewer than two columns, for a reference point of other columns, and for records that may not be
    compared.
    """
    directions = [direction(name) for name in columns]
    if len(set(columns)) < 2:
        raise RecordError(f"a front needs at least two different columns, found: {', '.join(columns) or 'none'}")
    if reference is not None and set(reference) != set(columns):
        raise RecordError(
            f"the reference point has {', '.join(reference) or 'nothing'}, but the front is over {', '.join(columns)}. "
            f"Give one value per column, in the column's unit."
        )
    everyone = standings(suite, records, failures, tasks)
    gaps = [_gap(row.values, columns) for row in everyone.rows]
    rows = tuple(row for row, gap in zip(everyone.rows, gaps, strict=True) if gap is None)
    members = front([row.values for row in rows], columns, directions)
    signs = [1.0 if way == "higher" else -1.0 for way in directions]
    values = [[_interval(row, name) for name in columns] for row in rows]
    lacking = [
        [row.recipe for row, own in zip(rows, values, strict=True) if own[i].low == own[i].high]
        for i in range(len(columns))
    ]
    exact = [
        name if len(found) == len(rows) else f"{name} of {', '.join(found)}"
        for name, found in zip(columns, lacking, strict=True)
        if found
    ]
    return Front(
        standings=everyone,
        columns=tuple(columns),
        rows=rows,
        members=frozenset(members),
        left_out=tuple((row, gap) for row, gap in zip(everyone.rows, gaps, strict=True) if gap is not None),
        certainty=tuple(on_front(values, signs)) if exact != list(columns) else (),
        exact=tuple(exact),
        cover=cover(
            [[value.middle for value in row] for row in values],
            signs,
            [reference[name] for name in columns] if reference is not None else None,
        ),
    )


def _interval(row: Standing, name: str) -> Interval:
    """The row's value with the ends of its interval, which are the value itself if it has none."""
    value = row.values[name]
    if isinstance(value, Absent):
        raise TypeError(f"{row.recipe} is on a front without a value of {name}")
    return Interval(float(value), *(row.ends(name) or (float(value), float(value))))


def front(
    points: Sequence[Mapping[str, float | int | Absent]], columns: Sequence[str], directions: Sequence[Direction]
) -> set[int]:
    """The indices of the points that no other point dominates.

    A point dominates another when it is at least as good in every column and better in one; equal points do not
    dominate each other, so both stay. A point with an absent value in some column is on no front and dominates nothing.
    """
    import numpy as np

    signs = [1.0 if way == "higher" else -1.0 for way in directions]
    gains: dict[int, list[float]] = {}
    for index, point in enumerate(points):
        values = [point.get(name) for name in columns]
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) == len(columns):
            gains[index] = [sign * value for sign, value in zip(signs, numbers, strict=True)]
    if not gains:
        return set()
    beaten = dominated(np.array(list(gains.values()), dtype=np.float64)[None])[0]
    return {index for index, lost in zip(gains, beaten, strict=True) if not lost}


def direction(name: str) -> Direction:
    """Which way the column is better; raises `RecordError` if it has no direction."""
    better = column(name).better
    if better is None:
        directed = ", ".join(item.name for item in COLUMNS.values() if item.better is not None)
        raise RecordError(
            f"column {name} has no better direction, so it cannot form a front. Choose one of: {directed}."
        )
    return better


def _gap(values: Mapping[str, float | int | Absent], columns: Sequence[str]) -> str | None:
    reasons = [value.reason for name in columns if isinstance(value := values[name], Absent)]
    return reasons[0] if reasons else None


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
