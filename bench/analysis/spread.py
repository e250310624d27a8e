"""The interval of a score averaged over tasks and seeds, and how surely such a mean is not zero.

Only of scores, whose errors are independent from task to task. Times and energies are measured on one machine, whose
drift and neighbours tasks share: for them the mean of the ends is kept, which holds however much tasks err together.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from bench.analysis.bounds import ScoreRange
from bench.base.statistics import Interval, over_seeds

NOT_SIGNIFICANT = 0.05  # a drop whose test has a larger p is marked
_NORMAL = 1.959963984540054  # standard deviations from the middle of a normal distribution to its 97.5 % quantile


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
        ends: the low and high end of every value's own 95 % interval over examples; None where there are none.
        bounds: the least and the most that the mean can be.
        means: [seeds], where a seed's mean over tasks is not that of its values.

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
    """Two-sided p of a normal test that the middle is zero; 0.05 where an end of the 95 % interval is zero."""
    middle, low, high = interval
    half = middle - low if middle > 0 else high - middle
    if middle == 0 or half <= 0:
        return 1.0 if middle == 0 else 0.0
    return math.erfc(_NORMAL * abs(middle) / half / math.sqrt(2))
