"""Statistics of timings and scores: centre, spread, gated percentiles, intervals and paired tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Score = Callable[[NDArray[np.intp]], float]

CONFIDENCE = 0.99
UNDEFINED = 0.05  # largest share of the resamples that may have no score before there is no interval
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
    """The `share` percentile (0 to 1), linear between neighbours; None if the samples are too few for it."""
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
        statistic: called with an array [resamples, values] and `axis=1`; the median if None.
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


def score_interval(
    score: Score, count: int, *, generator: np.random.Generator, resamples: int = 1000, level: float = 0.95
) -> Interval | None:
    """A score of `count` examples with its percentile-bootstrap interval over the examples.

    Resamples whose score is not a number (F1 without a positive example) are skipped. None if the score of all
    examples is undefined, where more than `UNDEFINED` of the resamples are, and for fewer than two examples. A score
    that no resample can change, such as the accuracy of a model that is always right, has an interval of no width.
    Source: Efron and Tibshirani 1993, chapter 13.

    Args:
        score: the score of the examples at the given indices, [count], in which an example may stand several times.
        count: how many examples there are.
        generator: source of the resamples; the same state gives the same interval.
        resamples: how often the examples are redrawn with replacement.
        level: share of the resampled scores inside the interval.
    """
    import numpy as np

    if count < 2:
        return None
    drawn = (generator.integers(count, size=count) for _ in range(resamples))
    return _interval(score(np.arange(count)), [score(indices) for indices in drawn], level)


def paired_difference(
    first: Score,
    second: Score,
    count: int,
    *,
    generator: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[Interval, float] | None:
    """The difference `first` - `second` of two scores on the same examples: its interval and a two-sided p.

    Both scores see the same resampled examples, so what makes an example hard for both cancels. The p-value inverts the
    interval: twice the smaller share of differences that are at most, or at least, zero, each counted as
    (k + 1) / (n + 1), so that it is never zero (Davison and Hinkley 1997, section 4.2.1). None as in `score_interval`.
    """
    import numpy as np

    def difference(indices: NDArray[np.intp]) -> float:
        return first(indices) - second(indices)

    if count < 2:
        return None
    found = [difference(generator.integers(count, size=count)) for _ in range(resamples)]
    interval = _interval(difference(np.arange(count)), found, level)
    if interval is None:
        return None
    defined = [value for value in found if math.isfinite(value)]
    tail = min(sum(value <= 0 for value in defined), sum(value >= 0 for value in defined))
    return interval, min(1.0, 2 * (tail + 1) / (len(defined) + 1))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test: are examples that only one model has right split evenly between the two?

    Binomial with probability 1/2 over the discordant examples; 1.0 if there are none. Source: McNemar 1947; the
    exact form is that of Dietterich 1998, section 3.1, without the chi-squared approximation.
    """
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def over_seeds(values: Sequence[float], *, level: float = 0.95) -> Interval | None:
    """The mean over seeds with its Student t interval, standard deviation with n - 1; None for fewer than two."""
    if len(values) < 2:
        return None
    import numpy as np
    from scipy.stats import t

    mean = float(np.mean(values))
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def _interval(middle: float, found: Sequence[float], level: float) -> Interval | None:
    """`middle` with the percentiles of the defined ones of `found`; None if too few are."""
    import numpy as np

    defined = [value for value in found if math.isfinite(value)]
    if not math.isfinite(middle) or len(defined) < (1 - UNDEFINED) * len(found):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(middle, float(low), float(high))
