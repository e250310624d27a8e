"""How one column changed from one set of records to another, and when that counts as a change.

Scores change by a difference, all else by a ratio. A change counts if its interval excludes "no change" and it
exceeds a stated threshold.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from bench.analysis.paired import SCORERS, StoredRecord, paired_change
from bench.analysis.spread import difference_of, p_of_zero, score_over_cells
from bench.analysis.table import Absent, value_of
from bench.base.statistics import Interval
from bench.columns import COLUMNS, Column, column

CellRecords = Mapping[tuple[str, int], StoredRecord]  # by task and seed
Went = Literal["more", "less", "no change"]


class Change(NamedTuple):
    """The change of a column from the first side to the second, averaged over tasks and seeds.

    `kind` says what `interval` holds: second - first, or second / first. `p` is two-sided and of differences only.
    `test` says where the interval comes from. Without one, `interval` is absent and `middle` is all there is. `seeds`
    holds the difference of each seed if there are several.
    """

    kind: Literal["difference", "ratio"]
    middle: float
    interval: Interval | Absent
    p: float | Absent
    test: str
    seeds: tuple[float, ...] = ()


def change_of(
    name: str, first: CellRecords, second: CellRecords, tasks: Sequence[str], seeds: Sequence[int]
) -> Change | Absent:
    """The change of a column over `tasks` and `seeds`, of which both sides have every cell.

    Scores are subtracted, cell by cell, and their differences averaged; all else is divided, and the ratios averaged
    geometrically. Absent if a value is absent, or if a ratio is not of positive numbers.
    """
    shown = column(name)
    for task in tasks:
        for seed in seeds:
            for side in (first, second):
                value = value_of(side[task, seed].record, name)
                if isinstance(value, Absent):
                    return Absent(f"{name} on {task}: {value.reason}")
                if not shown.is_score and value <= 0:
                    return Absent(f"{name} on {task}: {value:.6g}; a ratio needs positive numbers")
    cells = [[(first[task, seed], second[task, seed]) for seed in seeds] for task in tasks]
    return _difference(shown, cells) if shown.is_score else _ratio(shown, cells)


def _difference(shown: Column, cells: Sequence[Sequence[tuple[StoredRecord, StoredRecord]]]) -> Change:
    found = [[_cell_difference(shown, *pair) for pair in row] for row in cells]
    values = [[change.middle for change in row] for row in found]
    lacking = [change.interval for row in found for change in row if isinstance(change.interval, Absent)]
    if len(cells) == len(cells[0]) == 1:
        return found[0][0]
    ends = None
    if not lacking:
        ends = [
            [(item.low, item.high) for change in row if isinstance(item := change.interval, Interval)] for row in found
        ]
    tests = dict.fromkeys(change.test for row in found for change in row if not isinstance(change.interval, Absent))
    several = ["t over seeds"] if len(cells[0]) > 1 else []
    records = [[side.record for pair in row for side in pair] for row in cells]
    interval = score_over_cells(values, ends, difference_of(shown, records))
    middle = statistics.fmean(value for row in values for value in row)
    if interval is None:
        return Change("difference", middle, lacking[0], lacking[0], "")
    said = " and ".join([*(tests if ends else ()), *several])
    seeds = tuple(map(statistics.fmean, zip(*values, strict=True))) if several else ()
    return Change("difference", middle, interval, p_of_zero(interval), said, seeds)


def _cell_difference(shown: Column, first: StoredRecord, second: StoredRecord) -> Change:
    """One cell's difference: paired by example, or against the reference, or from the two intervals, or bare."""
    name = shown.name
    before, after = float(first.record.values[name]), float(second.record.values[name])
    why = Absent("this column has no interval")
    if name in SCORERS:
        found = paired_change(name, first, second)
        if not isinstance(found, Absent):
            return Change("difference", after - before, found[0], found[1], "paired bootstrap")
        why = found
    drops = [item for item in COLUMNS.values() if item.relative == "difference" and item.of == name and item.interval]
    for against in drops:
        for sign, side, other in ((-1, second, first), (1, first, second)):
            drop = _drop(side, against) if other.record.recipe_base == "none" else None
            if drop is not None:
                ends = sorted((sign * drop[0].low, sign * drop[0].high))
                return Change("difference", after - before, Interval(after - before, *ends), drop[1], "paired drop")
    spans = [_span(side, shown) for side in (first, second)]
    if spans[0] is None or spans[1] is None:
        return Change("difference", after - before, why, why, "")
    (old_low, old_high), (new_low, new_high) = spans[0], spans[1]
    low = after - before - math.hypot(after - new_low, old_high - before)
    high = after - before + math.hypot(new_high - after, before - old_low)
    interval = Interval(after - before, low, high)
    return Change("difference", after - before, interval, p_of_zero(interval), "two intervals, unpaired")


def _ratio(shown: Column, cells: Sequence[Sequence[tuple[StoredRecord, StoredRecord]]]) -> Change:
    """Logarithms are averaged, and so are the half-widths: cells of one machine may err together."""
    none = Absent("a ratio has an interval instead of a p")
    logs, below, above = [], [], []
    for first, second in (pair for row in cells for pair in row):
        sides = [_own(shown, side) for side in (first, second)]
        before, after = (math.log(value) for value, _ in sides)
        logs.append(math.log(sides[1][0] / sides[0][0]))
        spans = [span for _, span in sides]
        if shown.kind == "count":
            below.append(0.0)
            above.append(0.0)
        elif spans[0] is not None and spans[1] is not None and spans[0][0] > 0 and spans[1][0] > 0:
            (old_low, old_high), (new_low, new_high) = spans[0], spans[1]
            below.append(math.hypot(after - math.log(new_low), math.log(old_high) - before))
            above.append(math.hypot(math.log(new_high) - after, before - math.log(old_low)))
    mean = statistics.fmean(logs)
    if len(below) < len(logs):
        return Change("ratio", math.exp(mean), Absent("this column has no interval"), none, "")
    ends = (math.exp(mean - statistics.fmean(below)), math.exp(mean + statistics.fmean(above)))
    own = shown.relative and any(side.record.recipe_base == "none" for pair in cells[0] for side in pair)
    test = "counted" if shown.kind == "count" else "paired with the reference" if own else "two intervals, unpaired"
    return Change("ratio", math.exp(mean), Interval(math.exp(mean), *ends), none, test)


def _own(shown: Column, side: StoredRecord) -> tuple[float, tuple[float, float] | None]:
    """A record's value and the ends of its interval; the reference relative to itself is exactly 1."""
    if shown.relative and side.record.recipe_base == "none":
        return 1.0, (1.0, 1.0)
    return float(side.record.values[shown.name]), _span(side, shown)


def _span(side: StoredRecord, shown: Column) -> tuple[float, float] | None:
    """The ends of the record's interval of a column, if it has both."""
    if shown.interval is None:
        return None
    low, high = (side.record.values.get(end) for end in shown.interval[:2])
    return None if low is None or high is None else (float(low), float(high))


def _drop(side: StoredRecord, drop: Column) -> tuple[Interval, float] | None:
    """The record's drop against the reference with its interval and p, if it has all of them."""
    values = side.record.values
    found = [values.get(name) for name in (drop.name, *drop.ends)]
    numbers = [float(value) for value in found if value is not None]
    return (Interval(*numbers[:3]), numbers[3]) if len(numbers) == 4 else None


def change_of_ratio(ratio: Interval, threshold: float) -> Went:
    """Which way the ratio changed: its interval excludes 1, and it is beyond 1 + threshold or 1 / (1 + threshold).

    The bound below is the reciprocal, so that swapping the two sides swaps the answer. `threshold` is a share, at
    least 0.
    """
    if ratio.low > 1 and ratio.middle > 1 + threshold:
        return "more"
    if ratio.high < 1 and ratio.middle < 1 / (1 + threshold):
        return "less"
    return "no change"


def change_of_difference(difference: Interval, threshold: float) -> Went:
    """Which way the difference goes: its interval excludes 0, and it is larger than `threshold`, in its own unit."""
    if difference.low > 0 and difference.middle > threshold:
        return "more"
    if difference.high < 0 and difference.middle < -threshold:
        return "less"
    return "no change"
