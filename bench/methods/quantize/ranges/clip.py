"""The range that is given beforehand."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from bench.methods.quantize.grid import Bounds
from bench.methods.quantize.range import RANGES, Range, Ranged


class Clip(Range):
    """From -c to c in every cell (TernaryBERT's code has 2.5 for weights and activations)."""

    clips: ClassVar[bool] = True

    clip: float = Field(2.5, gt=0, description="the end of the range")

    def bounds(self, ranged: Ranged) -> Bounds:
        """See `Range`."""
        ends = ranged.values.new_full(ranged.cells.shape, self.clip)
        return Bounds(-ends, ends)


RANGES.register("clip")(Clip)
