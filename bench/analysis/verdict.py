"""When a difference is called one: its interval excludes "no change" and it exceeds a stated threshold."""

from __future__ import annotations

from typing import Literal

from bench.base.statistics import Interval

Change = Literal["more", "less", "no change"]
Verdict = Literal["faster", "slower", "no change"]


def change_of_ratio(ratio: Interval, threshold: float) -> Change:
    """Which way the ratio changed: its interval excludes 1, and it is beyond 1 + threshold or 1 / (1 + threshold).

    The bound below is the reciprocal, so that swapping the two sides swaps the answer. `threshold` is a share, at
    least 0.
    """
    if ratio.low > 1 and ratio.middle > 1 + threshold:
        return "more"
    if ratio.high < 1 and ratio.middle < 1 / (1 + threshold):
        return "less"
    return "no change"


def change_of_difference(difference: Interval, threshold: float) -> Change:
    """Which way the difference goes: its interval excludes 0, and it is larger than `threshold`, in its own unit."""
    if difference.low > 0 and difference.middle > threshold:
        return "more"
    if difference.high < 0 and difference.middle < -threshold:
        return "less"
    return "no change"


def verdict(speedup: Interval, threshold: float) -> Verdict:
    """What may be said of a speed-up (time before over time after): faster, slower, or no change."""
    said: dict[Change, Verdict] = {"more": "faster", "less": "slower", "no change": "no change"}
    return said[change_of_ratio(speedup, threshold)]
