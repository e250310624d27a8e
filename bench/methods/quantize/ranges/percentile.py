"""The range that leaves a share of the values outside."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from bench.methods.quantize.grid import Bounds
from bench.methods.quantize.range import RANGES, Range, Ranged


class Percentile(Range):
    """From the (100 - p)-th to the p-th percentile of each cell, by nearest rank towards the middle."""

    searched: ClassVar[bool] = True

    percentile: float = Field(99.9, gt=50, le=100, description="share of the values below the range's end, in percent")

    def bounds(self, ranged: Ranged) -> Bounds:
        """See `Range`."""
        import torch

        lows, highs = [], []
        for cell in ranged.cells.split(ranged.values):
            rank = max(1, math.ceil(self.percentile / 100 * len(cell)))
            highs.append(cell.kthvalue(rank).values)
            lows.append(cell.kthvalue(len(cell) + 1 - rank).values)
        shape = ranged.cells.shape
        return Bounds(torch.stack(lows).view(shape), torch.stack(highs).view(shape))


RANGES.register("percentile")(Percentile)
