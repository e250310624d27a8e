"""Statistics of repeated timings: centre, spread, percentiles that may be absent, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

CONFIDENCE = 0.99
_CHUNK = 100  # resamples held in memory at a time


class Interval(NamedTuple):
    """A statistic of a sample with the ends of its confidence interval, all in the unit of the sample."""

    middle: float
    low: float
    high: float

    @property
    def relative_width(self) -> float:
        """Width of the interval as a share of the statistic."""
        return (self.high - self.low) / self.middle


def median(values: Sequence[float]) -> float:
    """The median; for an even count the mean of the two middle values."""
    import numpy as np

    return float(np.median(values))


def mad(values: Sequence[float]) -> float:
    """Median absolute deviation from the median, not scaled to a normal distribution."""
    import numpy as np

    return float(np.median(np.abs(np.asarray(values) - np.median(values))))


def samples_needed(share: float) -> int:
    """The fewest samples from which the `share` percentile (0 to 1) may be reported.

    MLPerf's early-stopping rule with one slower sample allowed: the smallest n for which at most one of n samples
    lies above the percentile with a probability of at most 1 - `CONFIDENCE`, that is
    share^n + n (1 - share) share^(n-1) <= 0.01. Gives 64, 130, 219, 662 and 6,636 for p90, p95, p97, p99 and p99.9.
    Source: MLPerf inference rules, appendix "Early stopping" (mlcommons/inference_policies).
    """
    count = 2
    while share**count + count * (1 - share) * share ** (count - 1) > 1 - CONFIDENCE:
        count += 1
    return count


def percentile(values: Sequence[float], share: float) -> float | None:
    """The `share` percentile (0 to 1), linear between neighbours; None where the samples are too few for it."""
    import numpy as np

    if len(values) < samples_needed(share):
        return None
    return float(np.quantile(values, share))


def bootstrap(
    values: Sequence[float],
    *,
    generator: np.random.Generator,
    statistic: Callable[..., Any] | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """A statistic with its percentile-bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Args:
        values: the sample, at least one value.
        generator: source of the resamples; the same state gives the same interval.
        statistic: called with an array [resamples, values] and `axis=1`; the median where None.
        resamples: how often the sample is redrawn with replacement.
        level: share of the resampled statistics inside the interval.
    """
    import numpy as np

    chosen: Callable[..., Any] = np.median if statistic is None else statistic
    sample = np.asarray(values, dtype=np.float64)
    parts = [
        chosen(sample[generator.integers(len(sample), size=(min(_CHUNK, resamples - done), len(sample)))], axis=1)
        for done in range(0, resamples, _CHUNK)
    ]
    low, high = np.quantile(np.concatenate(parts), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(chosen(sample[None, :], axis=1)[0]), float(low), float(high))
