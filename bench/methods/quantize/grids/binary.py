"""Binary weights: -a and a."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.methods.quantize.grid import GRIDS, Asked, Coded, Grid

if TYPE_CHECKING:
    from torch import Tensor


class Binary(Grid):
    """w = a sign(w) with a the mean magnitude and sign(0) = 1 (Rastegari et al. 2016, arXiv:1603.05279, eq. 6).

    The binary weight networks of BinaryBERT. A weight of zero does not stay zero.
    """

    widths: ClassVar[range] = range(1, 2)
    keeps_zero: ClassVar[bool] = False

    def code(self, asked: Asked) -> Coded:
        """See `Grid`."""
        import torch

        from bench.layers.coding import Coding

        coding = Coding(form="signs", bits=1, cells=asked.cells)
        return Coded(coding=coding, codes=(asked.values >= 0).to(torch.uint8), side={"scale": _scale(asked)})

    def rounded(self, asked: Asked) -> Tensor:
        """See `Grid`."""
        return (asked.values >= 0).float().mul_(2).sub_(1).mul_(asked.cells.whole(_scale(asked)))


def _scale(asked: Asked) -> Tensor:
    cells = asked.cells
    return cells.reduce(asked.values.abs(), "sum") / cells.sizes().to(asked.values.device)


GRIDS.register("binary")(Binary)
