"""Two recipes, or one recipe in two results folders: what changed, and whether it is better or worse."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.changes import Change, change_of, change_of_difference, change_of_ratio
from bench.analysis.comparable import comparable, same_conditions
from bench.analysis.comparison import OVERALL, Comparison, Judgement, Line
from bench.analysis.eligibility import estimate_source
from bench.analysis.means import mean_of
from bench.analysis.membership import content_of
from bench.analysis.paired import StoredRecord
from bench.analysis.seeds import compared, trains, uncalled
from bench.analysis.table import Absent, flags_of
from bench.base.errors import RecordError
from bench.columns import COLUMNS, Column, column

DEFAULT = ("quality", "label_loyalty", "speedup", "size_bytes", "macs", "energy_kwh")
RATIO_THRESHOLD = 0.03  # below this a ratio of times is within what repeating the measurement gives
SCORE_THRESHOLD = 0.0  # a score is tested on the same examples, and the test decides

ByCell = dict[tuple[str, int], StoredRecord]


@dataclass(frozen=True, kw_only=True)
class ComparedSide:
    """One side of a comparison: its name, and its records by what they are paired on (model, and recipe in folders)."""

    name: str
    rows: Mapping[tuple[str, ...], ByCell]


def side_of(name: str, found: Sequence[StoredRecord], *, with_recipe: bool) -> ComparedSide:
    """A side of these records, paired on the model and, for folders of many recipes, on the recipe too.

    Raises `RecordError` if there are none, or two of the same cell.
    """
    if not found:
        raise RecordError(f"{name}: no records to compare")
    comparable([item.record for item in found])
    rows: dict[tuple[str, ...], ByCell] = {}
    for item in found:
        row = (item.record.model, item.record.recipe) if with_recipe else (item.record.model,)
        rows.setdefault(row, {})[item.record.task, item.record.seed] = item
    return ComparedSide(name=name, rows=rows)


def compare(
    first: ComparedSide,
    second: ComparedSide,
    columns: Sequence[str] = DEFAULT,
    *,
    title: str,
    excluded: Collection[str] = (),
    ratio_threshold: float = RATIO_THRESHOLD,
    score_threshold: float = SCORE_THRESHOLD,
) -> Comparison:
    """Compare the second side with the first, on every task that both have and overall.

    Args:
        first: the baseline, "A".
        second: what is compared with it, "B".
        columns: directed columns; `retention` is not one of them, since `quality` says the same without a ratio.
        title: heads the table.
        excluded: tasks that the overall lines leave out.
        ratio_threshold: ratios that change by less than this share are ignored.
        score_threshold: scores that differ by less than this, in the column's unit, are ignored.

    Raises:
        RecordError: records of different suites, machines, settings, task versions or seeds; nothing in common; a
            column that cannot be compared. UnknownNameError: no such column.
    """
    for name in columns:
        _directed(name)
    everything = [item.record for side in (first, second) for cells in side.rows.values() for item in cells.values()]
    same_conditions(everything)
    rows = [row for row in first.rows if row in second.rows]
    if not rows:
        raise RecordError(f"{first.name} and {second.name} have no model and recipe in common")
    lines: list[Line] = []
    other: list[str] = []
    missing = [f"{', '.join(row)}: no record of {second.name}" for row in first.rows if row not in second.rows]
    beyond = [f"{', '.join(row)}: no record of {first.name}" for row in second.rows if row not in first.rows]
    for row in rows:
        before, after = first.rows[row], second.rows[row]
        other += _other_content(row[0], before, after)
        tasks, seeds = _common(before, after, first.name, second.name)
        at = f"{', '.join(row)}, " if len(rows) > 1 else ""
        missing += [f"{at}{task}: no record of {second.name}" for task in _tasks(before) if task not in tasks]
        beyond += [f"{at}{task}: no record of {first.name}" for task in _tasks(after) if task not in tasks]
        counted = [task for task in tasks if task not in excluded]
        for task, over in [*([(OVERALL, counted)] if counted else []), *((task, [task]) for task in tasks)]:
            lines += [
                _line(name, row, task, (before, after), over, seeds, (ratio_threshold, score_threshold))
                for name in columns
            ]
    return Comparison(
        title=title,
        lines=tuple(lines),
        missing=tuple(missing),
        notes=(
            f"A: {first.name}. B: {second.name}. Changes are from A to B.",
            *(f"Left out: {what}" for what in (*missing, *beyond)),
            *other,
            _rule(ratio_threshold, score_threshold),
            compared({item.seed for item in everything}, any(map(trains, everything))),
            *_flagged(first),
            *_flagged(second),
        ),
        flags=flags_of(everything),
        generated=any(record.generated for record in everything),
    )


def _other_content(model: str, before: ByCell, after: ByCell) -> list[str]:
    """A note if the two sides' models have the same name but different content."""
    sides = [{content_of(item.record) for item in cells.values()} - {None} for cells in (before, after)]
    if not all(sides) or sides[0] == sides[1]:
        return []
    found = [", ".join(sorted(str(content)[:8] for content in side)) for side in sides]
    return [f"Model {model} differs between the two sides: its content is {found[0]} in A and {found[1]} in B."]


def _flagged(side: ComparedSide) -> list[str]:
    records = [item.record for cells in side.rows.values() for item in cells.values()]
    return [f"Flag of {side.name}: {said}" for said in flags_of(records).values()]


def _directed(name: str) -> None:
    if not _comparable(column(name)):
        directed = ", ".join(item.name for item in COLUMNS.values() if _comparable(item))
        raise RecordError(f"column {name} cannot be compared. Choose one of: {directed}.")


def _comparable(item: Column) -> bool:
    """Whether two sides may be compared by it: it has a direction and is not a ratio of means."""
    return item.better is not None and item.mean != "ratio of means"


def _tasks(cells: ByCell) -> list[str]:
    return list(dict.fromkeys(task for task, _ in cells))


def _common(before: ByCell, after: ByCell, first: str, second: str) -> tuple[list[str], list[int]]:
    """The tasks that both sides have, and the seeds that they all have."""
    both = [task for task in _tasks(before) if task in _tasks(after)]
    if not both:
        raise RecordError(f"{first} and {second} have no task in common")
    expected = sorted(seed for task, seed in before if task == both[0])
    for name, cells in ((first, before), (second, after)):
        for task in both:
            found = sorted(seed for other, seed in cells if other == task)
            if found != expected:
                raise RecordError(
                    f"{task}: {name} has seeds {', '.join(map(str, found))}, but {first} on {both[0]} has seeds "
                    f"{', '.join(map(str, expected))}. Different seeds are never compared. Run the missing ones with "
                    f"`bench run`."
                )
    return both, expected


def _line(
    name: str,
    row: tuple[str, ...],
    task: str,
    sides: tuple[ByCell, ByCell],
    over: Sequence[str],
    seeds: Sequence[int],
    thresholds: tuple[float, float],
) -> Line:
    records = [{cell: item.record for cell, item in side.items()} for side in sides]
    values = [mean_of(name, side, over, seeds) for side in records]
    change = change_of(name, *sides, over, seeds)
    unsure = uncalled(name, records, over)
    if unsure is not None and not isinstance(change, Absent):
        change = change._replace(p=Absent(unsure))
    sources = [estimate_source(item.record, name) for side in sides for (at, _), item in side.items() if at in over]
    estimates = sorted({source for source in sources if source is not None})
    return Line(
        row=row,
        task=task,
        column=name,
        first=values[0],
        second=values[1],
        change=change,
        threshold=thresholds[1] if column(name).is_score else thresholds[0],
        verdict=Absent(unsure) if unsure else _verdict(name, change, estimates, *thresholds),
    )


def _verdict(
    name: str, change: Change | Absent, estimates: Sequence[str], ratio: float, score: float
) -> Judgement | Absent:
    if isinstance(change, Absent):
        return change
    interval = change.interval
    if isinstance(interval, Absent):
        return Absent(f"no verdict on {name}: {interval.reason}")
    if estimates:
        return Absent(f"no verdict on {name}: it is estimated (power from {', '.join(estimates)})")
    went = change_of_ratio(interval, ratio) if change.kind == "ratio" else change_of_difference(interval, score)
    if went == "no change":
        return "no change"
    return "better" if (went == "more") == (column(name).better == "higher") else "worse"


def _rule(ratio: float, score: float) -> str:
    scores = f"above {score:.3g}" if score else "of any size"
    return (
        f"Verdict: better or worse if the 95 % interval excludes no change and the change is above {100 * ratio:.3g} % "
        f"(times, energy, memory, sizes) or {scores} (scores)."
    )
