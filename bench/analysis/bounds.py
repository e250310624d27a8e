"""The least and the most that a score can be, and the scale between them on which its errors are even."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.columns import COLUMNS, Column
from bench.columns.column import Scale
from bench.records.record import Record


class ScoreRange(NamedTuple):
    """The least and the most that a score can be, and the scale between them on which its errors are even.

    The scale is logit((x - least) / (most - least)): that of shares for 0 and 1, and for -1 and 1 twice Fisher's
    arctanh, that of correlations. A score without bounds, both infinite, is its own scale.
    """

    least: float
    most: float

    def scaled(self, value: float) -> float:
        """The value on the scale, infinite at the bounds and beyond them."""
        if self == UNBOUNDED:
            return value
        if value <= self.least:
            return -math.inf
        return math.inf if value >= self.most else math.log((value - self.least) / (self.most - value))

    def slope(self, value: float) -> float:
        """How much the scale changes per unit of the score at `value`, which is between the bounds."""
        if self == UNBOUNDED:
            return 1.0
        return (self.most - self.least) / ((value - self.least) * (self.most - value))

    def unscaled(self, scaled: float) -> float:
        """The score of a value on the scale, never beyond the bounds."""
        if self == UNBOUNDED:
            return scaled
        small = math.exp(-abs(scaled))
        share = (small if scaled < 0 else 1.0) / (1.0 + small)
        return self.least + (self.most - self.least) * share


UNBOUNDED = ScoreRange(-math.inf, math.inf)
_FIXED: dict[Scale, ScoreRange] = {"share": ScoreRange(0.0, 1.0), "correlation": ScoreRange(-1.0, 1.0)}


def range_of(score: Column, tasks: Sequence[Iterable[Record]]) -> ScoreRange:
    """The range of the mean of a score over tasks, of which each has its records.

    A quality is between 0 and 1 but for correlations, which are from -1 on; a record that names no metric may have
    any. A ratio of qualities is one over the references' mean, which is taken as it is, and must be positive.
    """
    if score.scale is None:
        return UNBOUNDED
    if score.scale in _FIXED:
        return _FIXED[score.scale]
    records = [list(own) for own in tasks]
    least = statistics.fmean(_least_quality(record) for own in records for record in own)
    if score.scale == "difference of qualities":
        return ScoreRange(least - 1.0, 1.0 - least)
    if score.scale == "ratio of qualities":
        whole = statistics.fmean(statistics.fmean(each.reference[score.of] for each in own) for own in records)
        return ScoreRange(least / whole, 1.0 / whole)
    return ScoreRange(least, 1.0)


def difference_of(score: Column, tasks: Sequence[Iterable[Record]]) -> ScoreRange:
    """The range of the mean difference of a score between two sides over tasks, of which each has its records."""
    own = range_of(score, tasks)
    if own == UNBOUNDED:
        return UNBOUNDED
    reach = own.most - own.least
    return ScoreRange(-reach, reach)


def _least_quality(record: Record) -> float:
    """The least that the mean of the record's metrics can be."""
    metrics = [item.in_quality for item in COLUMNS.values() if item.in_quality and item.name in record.values]
    return -metrics.count("correlation") / len(metrics) if metrics else -1.0
