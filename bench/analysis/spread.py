"""The interval of a score averaged over tasks and seeds, and how surely such a mean is not zero.

Only of scores, whose errors are independent from task to task. Times and energies are measured on one machine, whose
drift and neighbours tasks share: for them the mean of the ends is kept, which holds however much tasks err together.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.base.statistics import Interval, over_seeds
from bench.columns import COLUMNS, Column
from bench.columns.column import Scale
from bench.records.record import Record

NOT_SIGNIFICANT = 0.05  # a drop whose test has a larger p is marked
_NORMAL = 1.959963984540054  # standard deviations from the middle of a normal distribution to its 97.5 % quantile


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


def score_over_cells(
    values: Sequence[Sequence[float]],
    ends: Sequence[Sequence[tuple[float, float]]] | None,
    bounds: ScoreRange,
    *,
    means: Sequence[float] | None = None,
) -> Interval | None:
    """The mean of a score over tasks and seeds, with an interval for new examples and, with several seeds, new seeds.

    Half-widths add in quadrature, each side by itself. Over tasks, since every task has its own examples: the mean of
    the ends would be right only if all tasks erred together, and is sqrt(tasks) too wide. The seeds of a task see the
    same examples, so their half-widths are averaged, and the spread between seeds comes on top as the t interval of the
    seeds' means over tasks (law of total variance). With several seeds the sum is taken on the scale of `bounds`, to
    which the spread between seeds is carried by the slope at the mean (delta method; the logit interval of Agresti
    2013, Categorical Data Analysis, section 1.4), so that no interval reaches beyond what a score can be.

    Args:
        values: [tasks][seeds], as many seeds for every task.
        ends: the low and high end of every value's own 95 % interval over examples; None if there are none.
        bounds: the least and the most that the mean can be.
        means: [seeds], if a seed's mean over tasks is not that of its values.

    Returns:
        None for a single seed without ends.
    """
    by_seed = [statistics.fmean(seed) for seed in zip(*values, strict=True)] if means is None else means
    mean, seeds = statistics.fmean(by_seed), over_seeds(by_seed)
    if ends is None and seeds is None:
        return None
    below, above = [], []
    for row, own in zip(values, ends or (), strict=ends is not None):
        below.append(statistics.fmean(value - low for value, (low, _) in zip(row, own, strict=True)) / len(values))
        above.append(statistics.fmean(high - value for value, (_, high) in zip(row, own, strict=True)) / len(values))
    examples = Interval(mean, mean - math.hypot(*below), mean + math.hypot(*above))
    return examples if seeds is None else _with_seeds(examples, seeds.high - seeds.middle, bounds)


def _with_seeds(examples: Interval, between: float, bounds: ScoreRange) -> Interval:
    """The interval over examples widened by the half-width `between` seeds, on the scale of `bounds`."""
    mean = examples.middle
    if not bounds.least < mean < bounds.most:  # every seed is at the bound
        return Interval(mean, max(examples.low, bounds.least), min(examples.high, bounds.most))
    centre, seeds = bounds.scaled(mean), between * bounds.slope(mean)
    ends = []
    for end, sign in ((examples.low, -1), (examples.high, 1)):
        reach = math.hypot(bounds.scaled(end) - centre, seeds) if end != mean else seeds
        ends.append(bounds.unscaled(centre + sign * reach) if reach else mean)
    return Interval(mean, *ends)


def p_of_zero(interval: Interval) -> float:
    """Two-sided p of a normal test that the middle is zero; 0.05 if an end of the 95 % interval is zero."""
    middle, low, high = interval
    half = middle - low if middle > 0 else high - middle
    if middle == 0 or half <= 0:
        return 1.0 if middle == 0 else 0.0
    return math.erfc(_NORMAL * abs(middle) / half / math.sqrt(2))
