"""The least and the most that a score can be, and the scale between them on which its errors are even."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.columns import column
from bench.records.record import Record

_SHARES = ("accuracy", "f1", "exact_match", "bleu", "perplexity")  # perplexity counts in quality as its inverse
_CORRELATIONS = ("mcc", "pearson", "spearman")


class Bounds(NamedTuple):
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


UNBOUNDED = Bounds(-math.inf, math.inf)


def bounds_of(name: str, tasks: Sequence[Iterable[Record]]) -> Bounds:
    """The bounds of the mean of a score with an interval over tasks, of which each has its records.

    A quality is between 0 and 1 but for correlations, which are from -1 on; a record that names no metric may have
    any. A drop is the difference of two qualities. A retention is one over the references' mean, which is taken as
    it is, and must be positive.
    """
    records = [list(own) for own in tasks]
    least = statistics.fmean(_least_quality(record) for own in records for record in own)
    if name == "quality":
        return Bounds(least, 1.0)
    if name == "drop":
        return Bounds(least - 1.0, 1.0 - least)
    if name == "retention":
        whole = statistics.fmean(statistics.fmean(each.reference["quality"] for each in own) for own in records)
        return Bounds(least / whole, 1.0 / whole)
    return Bounds(0.0, 1.0)


def difference_of(name: str, tasks: Sequence[Iterable[Record]]) -> Bounds:
    """The bounds of the mean difference of any score between two sides over tasks, of which each has its records."""
    if column(name).show != "percent":
        return UNBOUNDED
    reach = 2.0 if name in (*_CORRELATIONS, "output_correlation") else 1.0
    if name in ("quality", "ood_quality", "drop", "ood_gap"):
        reach -= statistics.fmean(_least_quality(record) for own in tasks for record in own)
    if name in ("drop", "ood_gap"):
        reach *= 2
    return Bounds(-reach, reach)


def _least_quality(record: Record) -> float:
    """The least that the mean of the record's metrics can be."""
    signed, shares = (sum(metric in record.values for metric in names) for names in (_CORRELATIONS, _SHARES))
    return -signed / (signed + shares) if signed or shares else -1.0
