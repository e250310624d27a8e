"""A speed-up of all rounds as columns: the ratio with its interval and both floors, or why it is invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.columns import column, with_intervals
from bench.measures.timing.steady import UNCERTAIN

if TYPE_CHECKING:
    from bench.measures.base.measure import Reading
    from bench.measures.timing.pairs import SpeedUp


def give_speedup(reading: Reading, result: SpeedUp, *, speedup: str, undisturbed: str) -> None:
    """Store the ratio of floors in the column `speedup` and the floors in `undisturbed`, or the reason for none."""
    at = "" if speedup == "speedup" else f" ({speedup})"
    if result.invalid is not None:
        reading.leave(f"invalid: {result.invalid}", *with_intervals(speedup, undisturbed))
        reading.warn("not-settled", f"the speed-up{at} is invalid: {result.invalid}.")
        return
    reading.give(undisturbed, result.artifact_s, reference=result.reference_s)
    reading.give(speedup, result.ratio.middle, reference=1.0)
    ends = column(speedup).ends
    reading.give(ends.low, result.ratio.low)
    reading.give(ends.high, result.ratio.high)
    if result.ratio.relative_width > UNCERTAIN:
        reading.warn(
            "speedup-uncertain",
            f"the speed-up's{at} 95 % interval is {result.ratio.low:.2f} to {result.ratio.high:.2f} after "
            f"{result.measured} pairs, wider than {UNCERTAIN:.0%} of it. Close other programs, or raise "
            "measuring.processes, measuring.pairs or measuring.patience_seconds.",
        )
