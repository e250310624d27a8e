"""The ELUE score: how far the quality of a model is above a baseline's curve of quality over FLOPs."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.analysis.arguments import coordinates
from bench.analysis.means import Own, mean_of
from bench.analysis.table import Absent
from bench.records.record import Record
from bench.spec.baseline import Baseline, Coordinate

COLUMN = "elue_score"
Row = tuple[str, str]  # model and recipe of a row


class RowScores(NamedTuple):
    """The score of one row: over the counted tasks, and on each task."""

    overall: float | Absent
    tasks: dict[str, float | Absent]


def told(baseline: Baseline) -> str:
    """What the scores of a board are measured from."""
    stated = [curve.task for curve in baseline.curves]
    parts = [f"the reference and the rows of {baseline.recipe} on this board"] if baseline.recipe else []
    parts += [f"the suite's points on {', '.join(stated)}"] if stated else []
    unsure = [curve.task for curve in baseline.curves if not curve.verified]
    note = f" The points on {', '.join(unsure)} are not verified." if unsure else ""
    return f"ELUE scores are distances from the curve of {baseline.title}: {' and '.join(parts)}.{note}"


def quality_at(curve: Sequence[Coordinate], flops: float) -> float | Absent:
    """The curve's quality at a cost, by linear interpolation; outside its range absent, not extrapolated.

    `curve` holds at least two points by rising FLOPs, no two with the same.
    """
    least, most = curve[0].flops, curve[-1].flops
    if not least <= flops <= most:
        side = "below the least" if flops < least else "above the most"
        bound = least if flops < least else most
        return Absent(f"{flops:.6g} FLOPs is {side} of the baseline's curve, {bound:.6g}")
    for before, after in itertools.pairwise(curve):
        if flops <= after.flops:
            share = (flops - before.flops) / (after.flops - before.flops)
            return (1 - share) * before.quality + share * after.quality
    raise ValueError(f"no segment of the curve holds {flops}")


def elue_score(points: Sequence[Coordinate], curve: Sequence[Coordinate]) -> float | Absent:
    """Mean of quality minus the curve's quality at the same FLOPs, over the different points of one model.

    Liu et al. 2021, arXiv:2110.07038, section 3: 1/n * sum of Perf_i - Perf_EB(FLOPs_i). How to interpolate, and what
    holds outside the curve, is not defined there: here linearly, and a point outside leaves the score absent. A point
    that is given twice counts once.
    """
    if not points:
        return Absent("no point of the model has both quality and FLOPs")
    distances = []
    for point in dict.fromkeys(points):
        expected = quality_at(curve, point.flops)
        if isinstance(expected, Absent):
            return expected
        distances.append(point.quality - expected)
    return statistics.fmean(distances)


def scores(
    baseline: Baseline, rows: Mapping[Row, Own], tasks: Sequence[str], counted: Sequence[str], seeds: Sequence[int]
) -> dict[Row, RowScores]:
    """The score of every row against the baseline.

    Args:
        baseline: what the suite states.
        rows: by model and recipe, the records of a row by task and seed.
        tasks: every task of the suite.
        counted: the tasks that the overall score is the mean of.
        seeds: the seeds that quality and FLOPs are averaged over.
    """
    by_task: dict[str, dict[Row, float | Absent]] = {task: {} for task in tasks}
    families = _families(baseline, rows)
    for task in tasks:
        points = {row: _point(own, task, seeds) for row, own in rows.items()}
        for row in rows:
            curve = _curve(baseline, task, row[0], rows, points)
            mine = [points[other] for other in families[row]]
            by_task[task][row] = _score(mine, curve)
    return {
        row: RowScores(
            _mean([(task, by_task[task][row]) for task in counted]), {task: by_task[task][row] for task in tasks}
        )
        for row in rows
    }


def _score(points: Sequence[Coordinate | Absent], curve: Sequence[Coordinate] | Absent) -> float | Absent:
    for point in points:
        if isinstance(point, Absent):
            return point
    if isinstance(curve, Absent):
        return curve
    return elue_score([point for point in points if not isinstance(point, Absent)], curve)


def _mean(parts: Sequence[tuple[str, float | Absent]]) -> float | Absent:
    for task, value in parts:
        if isinstance(value, Absent):
            return Absent(value.reason if task in value.reason else f"{task}: {value.reason}")
    return statistics.fmean([value for _, value in parts if not isinstance(value, Absent)])


def _point(own: Own, task: str, seeds: Sequence[int]) -> Coordinate | Absent:
    """Quality and FLOPs of a row on a task, as means over the seeds."""
    lacking = [seed for seed in seeds if (task, seed) not in own]
    if lacking:
        return Absent(f"{task}, seed {lacking[0]}: no record")
    quality = mean_of("quality", own, [task], seeds)
    if isinstance(quality, Absent):
        return quality
    flops = mean_of("flops", own, [task], seeds)
    return flops if isinstance(flops, Absent) else Coordinate(flops=flops, quality=quality)


def _curve(
    baseline: Baseline, task: str, model: str, rows: Mapping[Row, Own], points: Mapping[Row, Coordinate | Absent]
) -> tuple[Coordinate, ...] | Absent:
    """The stated curve of a task, or the one through the baseline's recipe and the reference of the same model."""
    for stated in baseline.curves:
        if stated.task == task:
            return stated.points
    if baseline.recipe is None:
        return Absent(f"the suite states no curve of the baseline on {task}")
    found: dict[float, Coordinate] = {}
    for row, own in rows.items():
        point = points[row]
        if row[0] != model or _first(own).recipe_base not in (baseline.recipe, "none") or isinstance(point, Absent):
            continue
        other = found.setdefault(point.flops, point)
        if other != point:
            return Absent(
                f"{task}: two rows of {baseline.recipe} or the reference have {point.flops:.6g} FLOPs but different "
                "quality"
            )
    if len(found) < 2:
        return Absent(
            f"{task}: a curve needs two rows of {baseline.recipe} or the reference of {model}, found {len(found)}"
        )
    return tuple(found[flops] for flops in sorted(found))


def _families(baseline: Baseline, rows: Mapping[Row, Own]) -> dict[Row, list[Row]]:
    """For each row the rows that are points of the same model: those that differ only in arguments in `exits`."""
    kept = {row: _apart_from_exits(baseline, row, own) for row, own in rows.items()}
    return {row: [other for other, place in kept.items() if place == kept[row]] for row in rows}


def _apart_from_exits(baseline: Baseline, row: Row, own: Own) -> tuple[object, ...]:
    first = _first(own)
    arguments = coordinates(first) if baseline.exits else {}
    if not set(baseline.exits) & set(arguments):
        return row
    left_out = {"task", "seed", *baseline.exits}
    return tuple(sorted((name, value) for name, value in arguments.items() if name not in left_out))


def _first(own: Own) -> Record:
    return next(iter(own.values()))
