"""What a result column is; the rest of the program reads here what it needs to know about a number."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, NamedTuple

Kind = Literal["score", "count", "measurement"]
Show = Literal["percent", "ratio", "count", "bytes", "seconds", "number"]
Mean = Literal["arithmetic", "geometric", "largest", "sum", "ratio of means", "none"]
Scale = Literal["share", "correlation", "quality", "difference of qualities", "ratio of qualities"]


class IntervalNames(NamedTuple):
    """Column names of a value's interval: its two ends and its p, which is empty if the value is not tested."""

    low: str
    high: str
    p: str = ""

    @classmethod
    def of(cls, name: str, *, tested: bool = False) -> IntervalNames:
        """The names for the value `name`; no other code builds such a name."""
        return cls(f"{name}_low", f"{name}_high", f"{name}_p" if tested else "")

    def names(self) -> tuple[str, ...]:
        """The names that are not empty."""
        return (self.low, self.high, self.p) if self.p else (self.low, self.high)


class Part(NamedTuple):
    """Which part of the interval of the column `of` a column is."""

    of: str
    which: Literal["low", "high", "p"]


class PValue(NamedTuple):
    """The p of a value's test: its meaning, and the sources of its definition and of its test."""

    says: str
    source: str
    oracle: str


@dataclass(frozen=True)
class Column:
    """What one number of a record means.

    Attributes:
        name: as in records; snake_case with the unit last.
        says: the definition in a few words.
        kind: `score` is computed on examples, with errors that are independent across tasks; compared by difference.
            `count` is counted on the artifact: the same artifact gives the same number on every machine.
            `measurement` is taken on one machine, whose drift affects all tasks. Counts and measurements are
            compared by ratio.
        show: how a table prints it: `percent` for shares (stored as 0 to 1), `ratio` (2.1x), `count` (12.3 M), `bytes`,
            `seconds`, `number`.
        unit: of the stored value; empty for shares and ratios.
        better: None if neither direction is better.
        source: where the definition comes from: paper, rules, or "ours" with the reason.
        oracle: the test that checks it against an independently known answer, `test_file.py::test_name` below tests/.
        mean: how values are averaged, first over seeds and then over tasks. `sum`: averaged over seeds, added over
            tasks. `largest`: the largest over both. `ratio of means`: the mean of the column `of` over that of the
            reference, never a mean of ratios. `none`: a mean would be another quantity, so there is none.
        relative: set if the value is already relative to the reference: a `difference` from it, or a `ratio` to it,
            which is 1 for the reference.
        of: the column that a relative one compares with the reference's, if that is a column.
        scale: which values a score can have: `share` 0 to 1, `correlation` -1 to 1, `quality` from the least that the
            task's metrics can be to 1, or the difference or ratio of two qualities. None: any value.
        in_quality: of the column of a metric, the scale on which it counts in `quality`; None for all other columns.
        power: keys of a record's conditions that name the power source of an energy.
        interval: the columns of its 95 % interval, if it has one.
        part: set on those columns.
        of_boards: True if no measure gives it: a board computes it from its rows, and records do not hold it.
    """

    name: str
    _: KW_ONLY
    says: str
    kind: Kind
    show: Show
    unit: str = ""
    better: Literal["higher", "lower"] | None = None
    source: str = ""
    oracle: str = ""
    mean: Mean = "arithmetic"
    relative: Literal["difference", "ratio"] | None = None
    of: str = ""
    scale: Scale | None = None
    in_quality: Literal["share", "correlation"] | None = None
    power: tuple[str, ...] = ()
    interval: IntervalNames | None = None
    part: Part | None = None
    of_boards: bool = False

    def __post_init__(self) -> None:
        if self.mean == "ratio of means" and not self.of:
            raise ValueError(f"column {self.name}: a ratio of means needs `of`, the column that is averaged")

    @property
    def least(self) -> float | None:
        """The smallest possible value: 0 for counts, bytes and seconds; None if there is no bound."""
        return 0.0 if self.show in ("count", "bytes", "seconds") else None

    @property
    def is_score(self) -> bool:
        """Whether its kind is `score`."""
        return self.kind == "score"

    @property
    def ends(self) -> IntervalNames:
        """The columns of its interval; raises `ValueError` if it has none."""
        if self.interval is None:
            raise ValueError(f"column {self.name} has no interval")
        return self.interval

    def with_interval(self, says: str, *, source: str, oracle: str, p: PValue | None = None) -> tuple[Column, ...]:
        """This column, followed by the columns of its interval's ends and, if it is tested, its p.

        Args:
            says: what the interval is, as in "95 % t interval of NAME over processes".
            source: where the interval's definition comes from.
            oracle: the test of the interval.
            p: the p of the value's test, which is a column of its own.

        Returns:
            Columns to register, this one first. Ends are averaged as the value is, except those of scores, whose
            interval is computed again for every mean. Ends of scores have no better direction; those of measurements
            have that of the value, so that a board can rank by the certain end.
        """
        ends = IntervalNames.of(self.name, tested=p is not None)
        end = replace(
            self,
            better=None if self.is_score else self.better,
            source=source,
            oracle=oracle,
            mean="arithmetic" if self.is_score else self.mean,
            relative=None,
            of="",
            in_quality=None,
        )
        low = replace(end, name=ends.low, says=f"lower end of the {says}", part=Part(self.name, "low"))
        high = replace(end, name=ends.high, says=f"upper end of the {says}", part=Part(self.name, "high"))
        found = (replace(self, interval=ends), low, high)
        if p is None:
            return found
        tested = Column(
            ends.p,
            says=p.says,
            kind=self.kind,
            show="number",
            source=p.source,
            oracle=p.oracle,
            part=Part(self.name, "p"),
        )
        return (*found, tested)
