"""What a comparison found, line by line, and as a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.analysis.changes import Change
from bench.analysis.table import Absent, ResultTable, Shown, TableCell
from bench.base.statistics import Interval
from bench.columns import IntervalNames, column
from bench.columns.numbers import significant, written

OVERALL = "overall"
_CHANGE, _LEAST = IntervalNames.of("change", tested=True), "change_least"

Judgement = Literal["better", "worse", "no change"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One column on one task, or overall: both sides' values, the change, and the verdict.

    `threshold` is the smallest change that matters: a share for ratios, in the column's unit for scores.
    """

    row: tuple[str, ...]
    task: str
    column: str
    first: float | int | Absent
    second: float | int | Absent
    change: Change | Absent
    threshold: float
    verdict: Judgement | Absent

    @property
    def place(self) -> str:
        """Model, recipe, column and task of the line, as text."""
        return f"{', '.join(self.row)}: {self.column}{'' if self.task == OVERALL else f' on {self.task}'}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Every line, the overall ones of each row first.

    `missing` names the rows and tasks that the first side has and the second lacks.
    """

    title: str
    lines: tuple[Line, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    flags: dict[str, str]
    generated: bool

    @property
    def judged(self) -> tuple[Line, ...]:
        """The lines that decide: the overall ones, or all lines of a row that has none, since no task counts."""
        overall = {line.row for line in self.lines if line.task == OVERALL}
        return tuple(line for line in self.lines if line.task == OVERALL or line.row not in overall)

    @property
    def worse(self) -> tuple[Line, ...]:
        """The lines that decide on which the second side is worse."""
        return tuple(line for line in self.judged if line.verdict == "worse")

    @property
    def undecided(self) -> tuple[tuple[Line, Absent], ...]:
        """The lines that decide and have no verdict, with the reason."""
        return tuple((line, line.verdict) for line in self.judged if isinstance(line.verdict, Absent))

    def lacking(self, asked: Collection[str]) -> list[str]:
        """Every value that only one side has, or that neither has if its column is in `asked`, with the reason."""
        found = []
        for line in self.lines:
            gaps = {name: side for name, side in (("A", line.first), ("B", line.second)) if isinstance(side, Absent)}
            if line.task != OVERALL and gaps and (len(gaps) == 1 or line.column in asked):
                reasons = " and ".join(dict.fromkeys(side.reason for side in gaps.values()))
                found.append(f"{line.place}: no value of {' and '.join(gaps)}: {reasons}")
        return found

    def table(self) -> ResultTable:
        """One row per line."""
        identity = ("model", "recipe")[: max((len(line.row) for line in self.lines), default=1)]
        return ResultTable(
            title=self.title,
            columns=(*identity, "task", "column", "A", "B", "kind", "change", *_CHANGE, _LEAST, "verdict", "test"),
            rows=tuple(_cells(line, identity) for line in self.lines),
            notes=self.notes,
            hidden=frozenset([*_CHANGE, _LEAST]),
            flags=self.flags,
            generated=self.generated,
        )


def _cells(line: Line, identity: Sequence[str]) -> dict[str, TableCell]:
    cells: dict[str, TableCell] = dict(zip(identity, line.row, strict=True))
    cells |= {"task": line.task, "column": line.column, "verdict": line.verdict}
    cells[_LEAST] = line.threshold
    for name, value in (("A", line.first), ("B", line.second)):
        cells[name] = value if isinstance(value, Absent) else Shown(value, written(column(line.column), value))
    if isinstance(line.change, Absent):
        return {
            **cells,
            **dict.fromkeys(("kind", "change", *_CHANGE, "test"), line.change),
        }
    change = line.change
    low, high = (change.interval, change.interval) if isinstance(change.interval, Absent) else change.interval[1:]
    cells |= {"kind": change.kind, "change": Shown(change.middle, _text(line.column, change))}
    return {**cells, _CHANGE.low: low, _CHANGE.high: high, _CHANGE.p: change.p, "test": change.test}


def _text(name: str, change: Change) -> str:
    """+1.2 points [0.3, 2.1] or 0.52x [0.50, 0.54], without brackets if there is no interval or it has no width.

    With two seeds, the difference of each is shown instead of an interval: +1.2 points (+0.9, +1.5).
    """
    points = column(name).show == "percent"

    def number(value: float) -> str:
        if change.kind == "ratio":
            return f"{value:.2f}"
        return f"{100 * value:+.1f}" if points else f"{'+' if value > 0 else ''}{significant(value)}"

    unit = "x" if change.kind == "ratio" else " points" if points else ""
    ends = ""
    if len(change.seeds) == 2:
        ends = f" ({', '.join(map(number, change.seeds))})"
    elif isinstance(change.interval, Interval) and change.interval.low < change.interval.high:
        ends = f" [{number(change.interval.low)}, {number(change.interval.high)}]"
    return f"{number(change.middle)}{unit}{ends}"
