"""A published figure against the measured one: direction and size, and what may be said of them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from bench.analysis.changes import change_of, change_of_ratio
from bench.analysis.compare import RATIO_THRESHOLD
from bench.analysis.standings import Standing
from bench.analysis.table import Absent
from bench.base.statistics import Interval
from bench.columns import COLUMNS, Column, column
from bench.report.survey.sets import ResultSet
from bench.spec.recipe import Expectation, Figure

Judgement = Literal["as published", "not as published", "not judged"]


class Relative(NamedTuple):
    """The artifact's figure relative to the reference's; `interval` is None if it has none.

    `called` is false for a score of one seed whose recipe trains: its interval does not cover another seed's result.
    """

    ratio: float
    interval: Interval | None
    called: bool = True


def relative(found: ResultSet, row: Standing, name: str) -> Relative | Absent:
    """The row's column `name` over the reference's, or the reason why there is none.

    Quality is expressed by retention; speed-up, compression and retention are already relative.
    """
    if row.missing is not None:
        return Absent(row.missing)
    told = _relative_to(column(name))
    if told is not None:
        whole = _of_row(row, told)
        seeded = told.is_score and row.trains and len(found.standings.seeds) == 1
        return whole._replace(called=False) if seeded and isinstance(whole, Relative) else whole
    if column(name).is_score:
        return Absent(f"{name} is a score, and scores are compared by quality only")
    tasks, seeds = found.standings.counted, found.standings.seeds
    reference, own = found.cells("none"), found.cells(row.recipe)
    if any((task, seed) not in reference for task in tasks for seed in seeds):
        return Absent("the reference lacks a record of some cell")
    change = change_of(name, reference, own, tasks, seeds)
    if isinstance(change, Absent):
        return change
    return Relative(change.middle, None if isinstance(change.interval, Absent) else change.interval)


def judged(figure: Figure, measured: Relative | Absent) -> Judgement:
    """Whether the measured direction is the published one; "not judged" if interval or seeds do not decide it.

    Higher and lower: the interval excludes 1 and the ratio is beyond the threshold. Same: the whole interval is within
    the threshold (equivalence by two one-sided tests, Schuirmann 1987, doi:10.1007/BF01068419). Not lower: the whole
    interval is above the threshold's lower end.
    """
    if figure.expect is None or isinstance(measured, Absent) or measured.interval is None or not measured.called:
        return "not judged"
    agrees = _agrees(figure.expect, measured.interval)
    if agrees is None:
        return "not judged"
    return "as published" if agrees else "not as published"


def said(figure: Figure, measured: Relative | Absent) -> str:
    """One figure in words: column, published, measured, and whether the direction agrees."""
    published = f"{figure.column}: {figure.expect if figure.value is None else f'{figure.value:.2f}x'} published"
    if isinstance(measured, Absent):
        return f"{published}, not measured ({measured.reason})"
    interval = measured.interval
    ends = f" [{interval.low:.2f}, {interval.high:.2f}]" if interval and interval.high > interval.low else ""
    why = "" if measured.called else " (one seed)"
    direction = f", direction {judged(figure, measured)}{why}" if figure.expect else ""
    return f"{published}, {measured.ratio:.2f}x{ends} measured{direction}"


def _relative_to(shown: Column) -> Column | None:
    """The column that tells `shown` relative to the reference: itself, or the ratio of its means; None without any."""
    if shown.relative == "ratio":
        return shown
    return next((each for each in COLUMNS.values() if each.mean == "ratio of means" and each.of == shown.name), None)


def _of_row(row: Standing, told: Column) -> Relative | Absent:
    value = row.values[told.name]
    if isinstance(value, Absent):
        return value
    if told.kind == "count":
        return Relative(value, Interval(value, value, value))
    ends = row.ends(told.name)
    return Relative(value, Interval(value, *ends) if ends else None)


def _agrees(expect: Expectation, interval: Interval) -> bool | None:
    """Whether the interval of a ratio confirms the direction; None if it is inconclusive."""
    change = change_of_ratio(interval, RATIO_THRESHOLD)
    not_lower, not_higher = interval.low >= 1 / (1 + RATIO_THRESHOLD), interval.high <= 1 + RATIO_THRESHOLD
    yes, no = {
        "higher": (change == "more", not_higher),
        "lower": (change == "less", not_lower),
        "same": (not_lower and not_higher, change != "no change"),
        "not lower": (not_lower, change == "less"),
    }[expect]
    return True if yes else False if no else None
