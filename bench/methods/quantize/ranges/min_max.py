"""The range from the least to the largest value."""

from __future__ import annotations

from bench.methods.quantize.grid import Bounds
from bench.methods.quantize.range import RANGES, Range, Ranged


class MinMax(Range):
    """Nothing is clipped."""

    def bounds(self, ranged: Ranged) -> Bounds:
        """See `Range`."""
        return Bounds(ranged.cells.reduce(ranged.values, "amin"), ranged.cells.reduce(ranged.values, "amax"))


RANGES.register("min-max")(MinMax)
