"""What a grid is: the few numbers that weights may have, and the code of each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.cells import Cells
    from bench.layers.coding import Coding, SideData


class CellBounds(NamedTuple):
    """The least and the largest number that a grid of even steps covers, one per cell [groups, buckets]."""

    low: Tensor
    high: Tensor


@dataclass(frozen=True, kw_only=True)
class GridInput:
    """What is rounded: `values` float32 [rows, columns] in `cells`, to codes of `bits`.

    `bounds` are given to the grids that have a range, `moments` [rows, columns] (the curvature of the loss by weight,
    such as the square root of Adam's second moment) if the caller knows them.
    """

    values: Tensor
    cells: Cells
    bits: int
    bounds: CellBounds | None = None
    moments: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Coded:
    """A matrix as codes uint8 [rows, columns] with the side data and the coding that say what they stand for."""

    coding: Coding
    codes: Tensor
    side: SideData = field(default_factory=dict)

    def values(self) -> Tensor:
        """The float32 matrix [rows, columns] that the codes stand for, to the last bit what the packed form gives."""
        return self.coding.whole(self.codes, self.side)


class Grid(Choice):
    """Codes and side data for a matrix; fields are its arguments.

    `widths` are the code widths that the grid has, `ranged` whether it covers a range that something else finds.
    `keeps_zero` says that a weight of 0 stays 0 to the bit, `curved` that it needs the curvature of the loss.
    """

    widths: ClassVar[range]
    ranged: ClassVar[bool] = False
    keeps_zero: ClassVar[bool] = True
    curved: ClassVar[bool] = False

    @abstractmethod
    def code(self, given: GridInput) -> Coded:
        """The codes of a matrix."""

    def rounded(self, given: GridInput) -> Tensor:
        """What the codes stand for, equal to the bit to `code(given).values()`; grids may have a faster way to it."""
        return self.code(given).values()


def check_widths(grid: Grid, widths: Iterable[int]) -> None:
    """Raise `ValueError` for bits that codes of a grid cannot have."""
    for bits in widths:
        if bits not in grid.widths:
            raise ValueError(
                f"bits = {bits}: grid '{grid.called}' needs {grid.widths.start} to {grid.widths.stop - 1} bits"
            )


GRIDS: Choices[Grid] = Choices(
    "grid",
    modules=(
        "bench.methods.quantize.grids",
        "bench.methods.quantize.codebook",
    ),
    group="bench.grids",
)
