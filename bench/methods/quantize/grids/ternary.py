"""Ternary weights: -a, 0 and a, by a threshold on magnitude or by the curvature of the loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from bench.base.errors import MethodError
from bench.methods.quantize.grid import GRIDS, Asked, Coded, Grid

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.cells import Cells

THRESHOLD = 0.7  # of the mean magnitude
_ROUNDS = 10


class Kept(Grid):
    """w = a sign(w) for the weights that are kept, and 0 for the others."""

    widths: ClassVar[range] = range(2, 3)

    def code(self, asked: Asked) -> Coded:
        """See `Grid`."""
        from bench.layers.coding import Coding

        kept, scale = self._support(asked)
        signs = asked.values.sign().mul_(kept).int() & 3
        return Coded(coding=Coding(form="steps", bits=2, cells=asked.cells), codes=signs.byte(), side={"scale": scale})

    def rounded(self, asked: Asked) -> Tensor:
        """See `Grid`."""
        kept, scale = self._support(asked)
        return asked.values.sign().mul_(kept).mul_(asked.cells.whole(scale))

    @abstractmethod
    def _support(self, asked: Asked) -> tuple[Tensor, Tensor]:
        """Which weights are kept, bool [rows, columns], and a of each cell."""


class Ternary(Kept):
    """w = a sign(w) where |w| > 0.7 mean |w| and else 0, a the mean magnitude of those kept.

    Ternary weight networks (Li et al. 2016, arXiv:1605.04711, eq. 6), as in TernaryBERT. Given the support, this a has
    the least squared error. A code takes 2 bits.
    """

    def _support(self, asked: Asked) -> tuple[Tensor, Tensor]:
        cells, magnitude = asked.cells, asked.values.abs()
        mean = cells.reduce(magnitude, "sum") / cells.sizes().to(magnitude.device)
        kept = magnitude > THRESHOLD * cells.whole(mean)
        count = cells.reduce(kept.float(), "sum")
        scale = cells.reduce(magnitude * kept, "sum") / count.clamp_min(1)
        return kept, scale


class LossAware(Kept):
    """Ternary weights that least change the loss to second order with a diagonal curvature D (Hou & Kwok 2018).

    a = |b D w|_1 / |b D|_1 and b = sign(w) where |w| > a / 2 in turn, at most 10 times, from a = mean |w| weighted by
    D (arXiv:1802.08635, alg. 1, as TernaryBERT has it). Raises `MethodError` where no curvature is known.
    """

    curved: ClassVar[bool] = True

    def _support(self, asked: Asked) -> tuple[Tensor, Tensor]:
        if asked.moments is None:
            raise MethodError(
                "quantize: grid 'loss-aware-ternary' needs the curvature of each weight, which training keeps. Give "
                "grid 'ternary' for a model that is not trained."
            )
        cells, magnitude = asked.cells, asked.values.abs()
        curvature = _somewhere(asked.moments, cells)
        kept = magnitude > 0
        for _ in range(_ROUNDS):
            weight = cells.reduce(curvature * kept, "sum")
            scale = cells.reduce(magnitude * curvature * kept, "sum") / weight.masked_fill(weight == 0, 1.0)
            again = magnitude > cells.whole(scale / 2)
            if bool((again == kept).all()):
                break
            kept = again
        weight = cells.reduce(curvature * kept, "sum")
        scale = cells.reduce(magnitude * curvature * kept, "sum") / weight.masked_fill(weight == 0, 1.0)
        return kept, scale


def _somewhere(moments: Tensor, cells: Cells) -> Tensor:
    """The curvature, equal everywhere in a cell that has none, such as a word that training never saw."""
    flat = cells.whole(cells.reduce(moments, "amax")) == 0
    return moments.masked_fill(flat, 1.0)


GRIDS.register("ternary")(Ternary)
GRIDS.register("loss-aware-ternary")(LossAware)
