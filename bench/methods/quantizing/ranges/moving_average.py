"""The range that follows the extremes of batch after batch of activations."""

from __future__ import annotations

from typing import ClassVar

from bench.methods.quantizing.grid import Bounds
from bench.methods.quantizing.range import RANGES, Range, Ranged


class MovingAverage(Range):
    """r <- m r + (1 - m) of a batch's extremes, from those of the first batch (Jacob et al. 2018, §3.1; Q8BERT).

    With training it follows the batches of training, and stays where it was at the end; without, those of calibration.
    """

    moving: ClassVar[bool] = True

    def bounds(self, ranged: Ranged) -> Bounds:
        """See `Range`: the extremes of one batch."""
        return RANGES.get("min-max").bounds(ranged)


RANGES.register("moving-average")(MovingAverage())
