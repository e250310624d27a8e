"""One quantizer: a grid, a granularity and a range, applied to a matrix of given bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import MethodError
from bench.methods.quantizing.granularity import GRANULARITIES, Shaped
from bench.methods.quantizing.grid import GRIDS, Asked, Bounds, Coded, Grid
from bench.methods.quantizing.range import RANGES, Ranged

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.cells import Cells


@dataclass(frozen=True, kw_only=True)
class Quantizer:
    """Choices by name, as in `Quantize`; the same ones serve weights that are stored and weights in training."""

    grid: str
    granularity: str
    range: str
    groups: int
    bucket: int
    percentile: float
    clip: float

    def cells(self, shape: tuple[int, int], *, role: str, head_width: int | None) -> Cells:
        """The cells of a matrix of this shape and role."""
        shaped = Shaped(
            rows=shape[0],
            columns=shape[1],
            role=role,
            head_width=head_width,
            groups=self.groups,
            bucket=self.bucket,
        )
        return GRANULARITIES.get(self.granularity).cells(shaped)

    def code(
        self,
        values: Tensor,
        cells: Cells,
        bits: int,
        *,
        moments: Tensor | None = None,
        bounds: Bounds | None = None,
    ) -> Coded:
        """The codes of float `values` [rows, columns]; raises `MethodError` for a width that the grid does not have.

        The codes' own `values()` are the fake-quantized weights, equal to the bit to what the packed form gives.
        `bounds` take the place of those that the range would find.
        """
        grid, asked = self._asked(values, cells, bits, moments, bounds)
        return grid.code(asked)

    def rounded(
        self,
        values: Tensor,
        cells: Cells,
        bits: int,
        *,
        moments: Tensor | None = None,
        bounds: Bounds | None = None,
    ) -> Tensor:
        """`code(...).values()` in a new tensor, without the codes where the grid can do without them."""
        grid, asked = self._asked(values, cells, bits, moments, bounds)
        return grid.rounded(asked)

    def _asked(
        self, values: Tensor, cells: Cells, bits: int, moments: Tensor | None, bounds: Bounds | None
    ) -> tuple[Grid, Asked]:
        grid = GRIDS.get(self.grid)
        if bits not in grid.widths:
            most = grid.widths.stop - 1
            raise MethodError(
                f"quantize: grid '{self.grid}' has codes of {grid.widths.start} to {most} bits, found bits = {bits}"
            )
        plain = values.detach().float()
        if grid.ranged and bounds is None:
            bounds = self.bounds(grid, plain, cells, bits)
        return grid, Asked(values=plain, cells=cells, bits=bits, bounds=bounds, moments=moments)

    def bounds(self, grid: Grid, values: Tensor, cells: Cells, bits: int) -> Bounds:
        """The bounds of each cell, by the range."""

        def rounded(bounds: Bounds) -> Tensor:
            return grid.rounded(Asked(values=values, cells=cells, bits=bits, bounds=bounds))

        ranged = Ranged(
            values=values, cells=cells, rounded=rounded, percentile=self.percentile, clip=self.clip, bits=bits
        )
        return RANGES.get(self.range).bounds(ranged)
