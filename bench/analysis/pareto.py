"""The rows that no other row beats, how surely, and how much they cover: dominance with mixed directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.dominance import dominated
from bench.analysis.hypervolume import Cover, cover
from bench.analysis.membership import DRAWS, LARGE, draws_for, on_front
from bench.analysis.standings import Standing, Standings, standings
from bench.analysis.table import Absent, Cell, ResultTable, Shown
from bench.base.errors import RecordError
from bench.base.statistics import Interval
from bench.columns import COLUMNS, column, with_intervals
from bench.records.record import Failure, Record
from bench.spec.suite import Suite

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Front:
    """A suite's recipes over chosen columns: which are not dominated, and which could not be compared.

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
        """Front rows first, best in the first column first, then the dominated rows; the left out ones as notes."""
        columns = with_intervals(*self.columns)
        order = sorted(range(len(self.rows)), key=lambda index: (index not in self.members, self._rank(index)))
        rows: list[dict[str, Cell]] = []
        for index in order:
            row = self.rows[index]
            mark = "front" if index in self.members else "dominated"
            cells: dict[str, Cell] = {"front": mark, "model": row.model, "recipe": row.recipe, "family": row.family}
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
        """How sure the front is, and how much it covers against which reference point."""
        said = []
        if self.certainty:
            exact = f"; taken as exact, without an interval: {', '.join(self.exact)}" if self.exact else ""
            draws = draws_for(len(self.rows), len(self.columns))
            fewer = f" ({DRAWS:,} up to {LARGE:,} rows)" if draws < DRAWS else ""
            said.append(
                f"On front: share of {draws:,} draws{fewer} of every value within its 95 % interval in which no row "
                f"beats this one{exact}."
            )
            seeded = any(row.trains for row in self.rows) and any(column(name).is_score for name in self.columns)
            if seeded and len(self.standings.seeds) == 1:
                said[-1] += " It knows one seed: how sure the front is over other seeds is not said."
        elif self.rows:
            said.append("No value here has an interval, so how sure the front is cannot be said.")
        if self.cover is not None and self.cover.volume is None:
            said.append(
                f"The hypervolume is not computed: {len(self.members):,} rows on a front over {len(self.columns)} "
                f"columns take too long. Weigh fewer columns, or fewer rows."
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
            f"the reference point has {', '.join(reference) or 'nothing'}, but the front is over {', '.join(columns)}: "
            f"give one value for each, in the column's own unit."
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
    dominate each other, so both stay. A point with an absent value in some column is on no front and beats nothing.
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
        raise RecordError(f"column {name} is neither better high nor low, so it makes no front. Choose of: {directed}.")
    return better


def _gap(values: Mapping[str, float | int | Absent], columns: Sequence[str]) -> str | None:
    reasons = [value.reason for name in columns if isinstance(value := values[name], Absent)]
    return reasons[0] if reasons else None
