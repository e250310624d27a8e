"""The range that follows the extremes of batch after batch of activations."""

from __future__ import annotations

from pydantic import Field

from bench.methods.quantize.grid import Bounds
from bench.methods.quantize.range import RANGES, Range, Ranged
from bench.methods.quantize.ranges.min_max import MinMax


class MovingAverage(Range):
    """r <- m r + (1 - m) of a batch's extremes, from those of the first batch (Jacob et al. 2018, §3.1; Q8BERT).

    With training it follows the batches of training, and stays where it was at the end; without, those of calibration.
    """

    activation_momentum: float = Field(0.95, ge=0, lt=1, description="weight of earlier batches")

    def bounds(self, ranged: Ranged) -> Bounds:
        """See `Range`: the extremes of one batch."""
        return MinMax().bounds(ranged)


RANGES.register("moving-average")(MovingAverage)
