"""One quantizer: a grid, a granularity and a range, applied to a matrix of given bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.base.errors import MethodError
from bench.methods.quantize.granularity import Granularity, Shaped
from bench.methods.quantize.grid import Asked, Bounds, Coded, Grid
from bench.methods.quantize.range import Range, Ranged

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.cells import Cells


@dataclass(frozen=True, kw_only=True)
class Quantizer:
    """Three choices of `Quantize`; the same ones serve weights that are stored and weights in training."""

    grid: Grid
    granularity: Granularity
    range: Range

    def cells(self, shape: tuple[int, int], *, role: str, head_width: int | None) -> Cells:
        """The cells of a matrix of this shape and role."""
        return self.granularity.cells(Shaped(rows=shape[0], columns=shape[1], role=role, head_width=head_width))

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
        return self.grid.code(self._asked(values, cells, bits, moments, bounds))

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
        return self.grid.rounded(self._asked(values, cells, bits, moments, bounds))

    def _asked(self, values: Tensor, cells: Cells, bits: int, moments: Tensor | None, bounds: Bounds | None) -> Asked:
        widths = self.grid.widths
        if bits not in widths:
            raise MethodError(
                f"quantize: grid {type(self.grid).__name__} has codes of {widths.start} to {widths.stop - 1} bits, "
                f"found bits = {bits}"
            )
        plain = values.detach().float()
        if self.grid.ranged and bounds is None:
            bounds = self.bounds(plain, cells, bits)
        return Asked(values=plain, cells=cells, bits=bits, bounds=bounds, moments=moments)

    def bounds(self, values: Tensor, cells: Cells, bits: int) -> Bounds:
        """The bounds of each cell, by the range."""

        def rounded(bounds: Bounds) -> Tensor:
            return self.grid.rounded(Asked(values=values, cells=cells, bits=bits, bounds=bounds))

        return self.range.bounds(Ranged(values=values, cells=cells, rounded=rounded, bits=bits))
