"""Ternary weights: -a, 0 and a, by a threshold on magnitude or by the curvature of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bench.errors import MethodError
from bench.methods.quantizing.grid import GRIDS, Asked, Coded, Grid

if TYPE_CHECKING:
    from torch import Tensor

THRESHOLD = 0.7  # of the mean magnitude
_ROUNDS = 10


class Ternary(Grid):
    """w = a sign(w) where |w| > 0.7 mean |w| and else 0, a the mean magnitude of those kept.

    Ternary weight networks (Li et al. 2016, arXiv:1605.04711, eq. 6), as in TernaryBERT. Given the support, this a has
    the least squared error. A code takes 2 bits.
    """

    widths: ClassVar[range] = range(2, 3)

    def code(self, asked: Asked) -> Coded:
        """See `Grid`."""
        cells, magnitude = asked.cells, asked.values.abs()
        mean = cells.reduce(magnitude, "sum") / cells.sizes().to(magnitude.device)
        kept = magnitude > THRESHOLD * cells.whole(mean)
        count = cells.reduce(kept.float(), "sum")
        scale = cells.reduce(magnitude * kept, "sum") / count.clamp_min(1)
        return _coded(asked, kept=kept, scale=scale)


class LossAware(Grid):
    """Ternary weights that least change the loss to second order with a diagonal curvature D (Hou & Kwok 2018).

    a = |b D w|_1 / |b D|_1 and b = sign(w) where |w| > a / 2 in turn, at most 10 times, from a = mean |w| weighted by
    D (arXiv:1802.08635, alg. 1, as TernaryBERT has it). Raises `MethodError` where no curvature is known.
    """

    widths: ClassVar[range] = range(2, 3)

    def code(self, asked: Asked) -> Coded:
        """See `Grid`."""
        if asked.moments is None:
            raise MethodError(
                "quantize: grid 'loss-aware-ternary' needs the curvature of each weight, which training keeps. Give "
                "grid 'ternary' for a model that is not trained."
            )
        cells, magnitude, curvature = asked.cells, asked.values.abs(), asked.moments
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
        return _coded(asked, kept=kept, scale=scale)


def _coded(asked: Asked, *, kept: Tensor, scale: Tensor) -> Coded:
    import torch

    from bench.layers.coding import Coding

    signs = asked.values.sign().mul_(kept).int() & 3
    coding = Coding(form="steps", bits=2, cells=asked.cells)
    return Coded(coding=coding, codes=signs.to(torch.uint8), side={"scale": scale})


GRIDS.register("ternary")(Ternary())
GRIDS.register("loss-aware-ternary")(LossAware())
