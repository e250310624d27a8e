"""The rows that no other row beats: n-dimensional dominance with mixed directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.standings import Standing, Standings, standings
from bench.analysis.table import Absent, Cell, Table, with_ends
from bench.columns import COLUMNS, column
from bench.errors import RecordError
from bench.record import Failure, Record
from bench.suite import Suite

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Front:
    """A suite's recipes over chosen columns: which are not dominated, and which could not be compared.

    `members` are indices into `rows`; `left_out` pairs each row that has no value in some column with the reason.
    """

    standings: Standings
    columns: tuple[str, ...]
    rows: tuple[Standing, ...]
    members: frozenset[int]
    left_out: tuple[tuple[Standing, str], ...]

    def table(self) -> Table:
        """Front rows first, best in the first column first, then the dominated rows; the left out ones as notes."""
        columns = with_ends(self.columns)
        order = sorted(range(len(self.rows)), key=lambda index: (index not in self.members, self._rank(index)))
        rows: list[dict[str, Cell]] = []
        for index in order:
            row = self.rows[index]
            mark = "front" if index in self.members else "dominated"
            cells: dict[str, Cell] = {"front": mark, "model": row.model, "recipe": row.recipe, "family": row.family}
            rows.append({**cells, **{name: row.values[name] for name in columns}})
        return Table(
            title=f"{self.standings.suite.title}: front over {', '.join(self.columns)}",
            columns=("front", "model", "recipe", "family", *columns),
            rows=tuple(rows),
            notes=(*self.standings.notes(), *(f"Left out: {row.recipe}: {why}" for row, why in self.left_out)),
            generated=self.standings.generated,
        )

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
) -> Front:
    """The front of a suite's recipes over two or more columns, each aggregated over tasks and seeds.

    Raises `UnknownNameError` for a column that does not exist, and `RecordError` for a column without a better
    direction, for fewer than two columns, and for records that may not be compared.
    """
    directions = [direction(name) for name in columns]
    if len(set(columns)) < 2:
        raise RecordError(f"a front needs at least two different columns, found: {', '.join(columns) or 'none'}")
    everyone = standings(suite, records, failures, tasks)
    gaps = [_gap(row.values, columns) for row in everyone.rows]
    rows = tuple(row for row, gap in zip(everyone.rows, gaps, strict=True) if gap is None)
    left_out = tuple((row, gap) for row, gap in zip(everyone.rows, gaps, strict=True) if gap is not None)
    members = front([row.values for row in rows], columns, directions)
    return Front(standings=everyone, columns=tuple(columns), rows=rows, members=frozenset(members), left_out=left_out)


def front(
    points: Sequence[Mapping[str, float | int | Absent]], columns: Sequence[str], directions: Sequence[Direction]
) -> set[int]:
    """The indices of the points that no other point dominates.

    A point dominates another when it is at least as good in every column and better in one; equal points do not
    dominate each other, so both stay. A point with an absent value in some column is on no front and beats nothing.
    """
    signs = [1.0 if way == "higher" else -1.0 for way in directions]
    gains: dict[int, tuple[float, ...]] = {}
    for index, point in enumerate(points):
        values = [point.get(name) for name in columns]
        if all(isinstance(value, int | float) for value in values):
            gains[index] = tuple(
                sign * value for sign, value in zip(signs, values, strict=True) if isinstance(value, int | float)
            )
    return {index for index, own in gains.items() if not any(_dominates(other, own) for other in gains.values())}


def direction(name: str) -> Direction:
    """Which way the column is better; raises `RecordError` where it has no direction."""
    better = column(name).better
    if better is None:
        directed = ", ".join(item.name for item in COLUMNS.values() if item.better is not None)
        raise RecordError(f"column {name} is neither better high nor low, so it makes no front. Choose of: {directed}.")
    return better


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine >= theirs for mine, theirs in zip(one, other, strict=True))


def _gap(values: Mapping[str, float | int | Absent], columns: Sequence[str]) -> str | None:
    reasons = [value.reason for name in columns if isinstance(value := values[name], Absent)]
    return reasons[0] if reasons else None
