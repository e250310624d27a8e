"""Rank the recipes of a suite: by macro quality, or by a track's rule among the rows that meet its conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis import elue
from bench.analysis.standings import Standing, Standings, standings
from bench.analysis.table import Absent, ResultTable, TableCell, default_columns
from bench.base.errors import RecordError, unknown
from bench.columns import Column, column, with_intervals
from bench.records.record import Failure, Record
from bench.spec.suite import Suite, Track

_METERS = frozenset({"wall meter", "rapl", "nvml", "amdsmi", "pmic", "power gadget"})  # all else is an estimate
_DIGITS = 12  # values equal to this many significant digits are a tie: their difference is rounding


@dataclass(frozen=True, kw_only=True)
class RankedRow:
    """A recipe's row with its rank, or with the reason why it has none."""

    rank: int | Absent
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Board:
    """Ranked rows first, then those without a rank; tied rows share the better rank and the next rank is skipped.

    `shown` are the columns of its table besides those of the track.
    """

    standings: Standings
    track: Track | None
    places: tuple[RankedRow, ...]
    shown: tuple[str, ...]

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
            notes=(*self.standings.notes(), *((_rule(self.track),) if self.track else ())),
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
        UnknownNameError: no such track or task. RecordError: nothing to rank, records that may not be ranked
        together, or a track by energy if the energy is an estimate.
    """
    rule = _track(suite, track) if track is not None else None
    if rule is not None and column(rule.rank).power:
        _refuse_estimates(rule, records)
    everyone = standings(suite, records, failures, tasks)
    name = rule.rank if rule else "quality"
    reasons = [_why_unranked(row, rule, name) for row in everyone.rows]
    ranked = [(row, _key(row, name)) for row, reason in zip(everyone.rows, reasons, strict=True) if reason is None]
    ranked.sort(key=lambda pair: pair[1])
    keys = [key for _, key in ranked]
    places = [RankedRow(rank=keys.index(key) + 1, standing=row) for row, key in ranked]
    places += [
        RankedRow(rank=Absent(reason), standing=row)
        for row, reason in zip(everyone.rows, reasons, strict=True)
        if reason is not None
    ]
    return Board(standings=everyone, track=rule, places=tuple(places), shown=default_columns(records))


def estimate_source(record: Record, name: str) -> str | None:
    """The power source of the record if its column `name` is an estimated energy; otherwise None."""
    source = _power_source(record, column(name)) if column(name).power and name in record.values else None
    return None if source is None or _METERS.issuperset(source.split(" + ")) else source


def _power_source(record: Record, shown: Column) -> str:
    """Where the power behind an energy comes from, as the record's conditions say, several joined by +."""
    found = [[str(part[key]) for part in record.conditions.values() if key in part] for key in shown.power]
    return " + ".join(dict.fromkeys(named[0] if named else "not stated" for named in found))


def _track(suite: Suite, name: str) -> Track:
    for track in suite.tracks:
        if track.name == name:
            return track
    raise unknown("track", name, [track.name for track in suite.tracks], where=f"suite {suite.name}")


def _refuse_estimates(track: Track, records: Sequence[Record]) -> None:
    for record in records:
        source = estimate_source(record, track.rank)
        if source is not None:
            raise RecordError(
                f"track {track.name} ranks by {track.rank}, but the energy of record {record.key} is estimated (power "
                f"source: {source}), and estimates are not ranked. Run the suite on a machine with a wall meter, RAPL "
                f"or NVML (see `bench doctor`), or read the column in `bench table`."
            )


def _why_unranked(row: Standing, track: Track | None, name: str) -> str | None:
    if row.missing is not None:
        return row.missing
    for bound in track.where if track else ():
        value = row.values[bound.column]
        if isinstance(value, Absent):
            return f"eligibility unknown: {value.reason}"
        if bound.at_most is not None and value > bound.at_most:
            return f"not eligible: {bound.column} {value:.6g} is above {bound.at_most:.6g}"
        if bound.at_least is not None and value < bound.at_least:
            return f"not eligible: {bound.column} {value:.6g} is below {bound.at_least:.6g}"
    value = row.values[name]
    return value.reason if isinstance(value, Absent) else None


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


def _rule(track: Track) -> str:
    bounds = []
    for bound in track.where:
        bounds += [f"{bound.column} at most {bound.at_most:.6g}"] if bound.at_most is not None else []
        bounds += [f"{bound.column} at least {bound.at_least:.6g}"] if bound.at_least is not None else []
    where = f" among rows with {' and '.join(bounds)}" if bounds else ""
    return f"Track {track.name}: ranked by {track.rank}, {column(track.rank).better} is better{where}."
