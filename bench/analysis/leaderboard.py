"""Rank the recipes of a suite: by macro quality, or by a track's rule among the rows that meet its conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis import elue
from bench.analysis.eligibility import HOW_TO_MEASURE, Evidence, evidence, rule, why_unranked
from bench.analysis.membership import told_apart
from bench.analysis.standings import Standing, Standings, standings
from bench.analysis.table import Absent, ResultTable, TableCell, default_columns
from bench.base.errors import unknown
from bench.columns import column, with_intervals
from bench.records.record import Failure, Record
from bench.spec.suite import Suite, Track

_DIGITS = 12  # values equal to this many significant digits are a tie: their difference is rounding


@dataclass(frozen=True, kw_only=True)
class RankedRow:
    """A recipe's row with its rank, or with the reason why it has none."""

    rank: int | Absent
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Board:
    """Ranked rows first, then those without a rank; tied rows share the better rank and the next rank is skipped.

    `shown` are the columns of its table besides those of the track, `remarks` are sentences for under it.
    """

    standings: Standings
    track: Track | None
    places: tuple[RankedRow, ...]
    shown: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def table(self) -> ResultTable:
        """The board as a table: rank, recipe, the ranking column, costs, and the quality on every task."""
        suite = self.standings.suite
        wanted = [self.track.rank, *(bound.column for bound in self.track.where)] if self.track else []
        scored = ["quality", elue.COLUMN] if suite.baseline else []
        columns = with_intervals(*wanted, *scored, *self.shown)
        tasks = [f"{name}:{task.name}" for name in scored or ["quality"] for task in suite.tasks]
        track = f", track {self.track.name}" if self.track else ""
        return ResultTable(
            title=f"{suite.title}{track}",
            columns=(
                "rank",
                "model",
                "recipe",
                "seeds",
                *columns,
                *tasks,
                *(("flags",) if self.standings.flags else ()),
            ),
            rows=tuple({**_row(place, columns), "seeds": len(self.standings.seeds)} for place in self.places),
            notes=(*self.standings.notes(), *((rule(self.track),) if self.track else ()), *self.remarks),
            flags=self.standings.flags,
            generated=self.standings.generated,
        )


def leaderboard(
    suite: Suite,
    records: Sequence[Record],
    track: str | None = None,
    *,
    failures: Sequence[Failure] = (),
    tasks: Sequence[str] | None = None,
) -> Board:
    """The board of a suite, or of one of its tracks.

    Args:
        suite: the suite that the records are of.
        records: records of one machine and one setting.
        track: a track of the suite; None ranks every complete row by macro quality.
        failures: cells that failed, shown as the reason of a missing value.
        tasks: rank over these tasks only; a note on the board says so.

    Raises:
        UnknownNameError: no such track or task. RecordError: nothing to rank, or records that may not be ranked
        together.
    """
    chosen = _track(suite, track) if track is not None else None
    everyone = standings(suite, records, failures, tasks)
    name = chosen.rank if chosen else "quality"
    seen = evidence(told_apart(records).records, [name])
    references = {row.model: row for row in everyone.rows if row.is_reference}
    reasons = [
        why_unranked(row, chosen, name, seen.get((row.model, row.recipe), Evidence()), references.get(row.model))
        for row in everyone.rows
    ]
    ranked = [(row, _key(row, name)) for row, reason in zip(everyone.rows, reasons, strict=True) if reason is None]
    ranked.sort(key=lambda pair: pair[1])
    keys = [key for _, key in ranked]
    places = [RankedRow(rank=keys.index(key) + 1, standing=row) for row, key in ranked]
    places += [
        RankedRow(rank=Absent(reason), standing=row)
        for row, reason in zip(everyone.rows, reasons, strict=True)
        if reason is not None
    ]
    return Board(
        standings=everyone,
        track=chosen,
        places=tuple(places),
        shown=default_columns(records),
        remarks=(HOW_TO_MEASURE,) if any(each.estimates for each in seen.values()) else (),
    )


def _track(suite: Suite, name: str) -> Track:
    for track in suite.tracks:
        if track.name == name:
            return track
    raise unknown("track", name, [track.name for track in suite.tracks], where=f"suite {suite.name}")


def _key(row: Standing, name: str) -> float:
    """The ranking value, smaller is better, rounded so that rounding errors break no tie."""
    value = float(f"{row.values[name]:.{_DIGITS}g}")
    return -value if column(name).better == "higher" else value


def _row(place: RankedRow, columns: Sequence[str]) -> dict[str, TableCell]:
    row = place.standing
    cells: dict[str, TableCell] = {"rank": place.rank, "model": row.model, "recipe": row.recipe}
    cells.update({name: row.shown(name) for name in columns})
    cells.update({f"quality:{task}": value for task, value in row.tasks.items()})
    cells.update({f"{elue.COLUMN}:{task}": value for task, value in row.scores.items()})
    return {**cells, "flags": ", ".join(row.flags)}
