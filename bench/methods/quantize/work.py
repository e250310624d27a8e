"""What is done to one weight matrix, and one quantization in progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.base.errors import MethodError
from bench.methods.quantize.granularity import Granularity, MatrixShape
from bench.methods.quantize.grid import CellBounds, Coded, Grid, GridInput
from bench.methods.quantize.ranges import Range, RangeInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.layers.cells import Cells
    from bench.methods.base.method import Lab, Target
    from bench.methods.base.trained import TrainedMethod
    from bench.methods.quantize.site import WeightSite


@dataclass(frozen=True, kw_only=True)
class Quantizer:
    """A grid, a granularity and a range; the same three serve weights that are stored and weights in training."""

    grid: Grid
    granularity: Granularity
    range: Range

    def cells(self, shape: tuple[int, int], *, role: str, head_width: int | None) -> Cells:
        """The cells of a matrix of this shape and role."""
        return self.granularity.cells(MatrixShape(rows=shape[0], columns=shape[1], role=role, head_width=head_width))

    def code(
        self,
        values: Tensor,
        cells: Cells,
        bits: int,
        *,
        moments: Tensor | None = None,
        bounds: CellBounds | None = None,
    ) -> Coded:
        """The codes of float `values` [rows, columns]; raises `MethodError` for a width that the grid does not have.

        The codes' own `values()` are the fake-quantized weights, equal to the bit to what the packed form gives.
        `bounds` take the place of those that the range would find.
        """
        return self.grid.code(self._given(values, cells, bits, moments, bounds))

    def rounded(
        self,
        values: Tensor,
        cells: Cells,
        bits: int,
        *,
        moments: Tensor | None = None,
        bounds: CellBounds | None = None,
    ) -> Tensor:
        """`code(...).values()` in a new tensor, without the codes if the grid can do without them."""
        return self.grid.rounded(self._given(values, cells, bits, moments, bounds))

    def _given(
        self, values: Tensor, cells: Cells, bits: int, moments: Tensor | None, bounds: CellBounds | None
    ) -> GridInput:
        widths = self.grid.widths
        if bits not in widths:
            raise MethodError(
                f"quantize: grid {type(self.grid).__name__} needs {widths.start} to {widths.stop - 1} bits, found "
                f"bits = {bits}"
            )
        plain = values.detach().float()
        if self.grid.ranged and bounds is None:
            bounds = self.bounds(plain, cells, bits)
        return GridInput(values=plain, cells=cells, bits=bits, bounds=bounds, moments=moments)

    def bounds(self, values: Tensor, cells: Cells, bits: int) -> CellBounds:
        """The bounds of each cell, by the range."""

        def rounded(bounds: CellBounds) -> Tensor:
            return self.grid.rounded(GridInput(values=values, cells=cells, bits=bits, bounds=bounds))

        return self.range.bounds(RangeInput(values=values, cells=cells, rounded=rounded, bits=bits))


@dataclass(frozen=True, kw_only=True)
class RoundedParameter:
    """A parameter [rows, columns], and how it is rounded: the quantizer, the cells and the bits."""

    parameter: nn.Parameter
    quantizer: Quantizer
    cells: Cells
    bits: int


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """What a scheme is given: `model` is changed in place; the rest says what of it, and how.

    `training` holds the budget and the objective of quantization-aware training, `examples` is how many training
    examples calibrate, `quantizer` is for weights, `embedding_quantizer` for those of embeddings.
    """

    model: nn.Module
    lab: Lab
    training: TrainedMethod
    targets: tuple[Target, ...]
    bits: int
    role_bits: Mapping[Target, int]
    examples: int
    quantizer: Quantizer
    embedding_quantizer: Quantizer
    activation_range: Range

    def quantizer_of(self, site: WeightSite) -> Quantizer:
        """How the weights of a site are rounded."""
        return self.embedding_quantizer if site.role == "embedding" else self.quantizer

    def bits_of(self, site: WeightSite) -> int:
        """The bits that the stage gives a site: those of its role, else those of all."""
        return self.role_bits.get(site.role, self.bits)

    def cells(self, site: WeightSite, weight: Tensor) -> Cells:
        """The cells of one matrix of a site."""
        from bench.models.adapter import adapter_for

        has_heads = hasattr(self.model.config, "num_attention_heads")
        width = adapter_for(self.model).head_width(self.model) if has_heads else None
        rows, columns = weight.shape
        return self.quantizer_of(site).cells((rows, columns), role=site.role, head_width=width)

    def rounded(self, site: WeightSite, weight: nn.Parameter, bits: int) -> RoundedParameter:
        """One matrix of a site as training sees it."""
        quantizer = self.quantizer_of(site)
        return RoundedParameter(parameter=weight, quantizer=quantizer, cells=self.cells(site, weight), bits=bits)

    def coded(self, site: WeightSite, weight: Tensor, bits: int) -> Coded:
        """One matrix of a site at `bits`."""
        return self.quantizer_of(site).code(weight, self.cells(site, weight), bits)
