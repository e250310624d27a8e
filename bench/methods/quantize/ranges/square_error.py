"""The range whose grid has the least squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.methods.quantize.grid import Bounds
from bench.methods.quantize.range import RANGES, Range, Ranged
from bench.methods.quantize.ranges.min_max import MinMax

if TYPE_CHECKING:
    from torch import Tensor

# Shares of the full range that are tried; the best of a 2-bit grid over normal weights is near a third.
SHARES = tuple(1 - 0.03 * step for step in range(31))


class SquareError(Range):
    """The share of min-max whose grid leaves the least squared error in each cell: never more than min-max leaves."""

    searched: ClassVar[bool] = True

    def bounds(self, ranged: Ranged) -> Bounds:
        """See `Range`; costs one rounding of all values a share."""
        full = MinMax().bounds(ranged)
        best, least = full, self._errors(ranged, full)
        for share in SHARES[1:]:
            tried = Bounds(full.low * share, full.high * share)
            errors = self._errors(ranged, tried)
            better = errors < least
            least = errors.where(better, least)
            best = Bounds(tried.low.where(better, best.low), tried.high.where(better, best.high))
        return best

    def _errors(self, ranged: Ranged, bounds: Bounds) -> Tensor:
        return ranged.cells.reduce((ranged.rounded(bounds) - ranged.values).square_(), "sum")


RANGES.register("square-error")(SquareError)
