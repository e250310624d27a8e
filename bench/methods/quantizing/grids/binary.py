"""Binary weights: -a and a."""

from __future__ import annotations

from typing import ClassVar

from bench.methods.quantizing.grid import GRIDS, Asked, Coded, Grid


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

        cells = asked.cells
        scale = cells.reduce(asked.values.abs(), "sum") / cells.sizes().to(asked.values.device)
        coding = Coding(form="signs", bits=1, cells=cells)
        return Coded(coding=coding, codes=(asked.values >= 0).to(torch.uint8), side={"scale": scale})


GRIDS.register("binary")(Binary())
