"""One matrix that trains behind its rounded values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.methods.quantize.grid import Bounds

if TYPE_CHECKING:
    from bench.layers.cells import Cells
    from bench.methods.quantize.grid import Coded
    from bench.methods.quantize.quantizer import Quantizer

_STEPS_A_SEARCH = 100  # a range that is searched for is found anew after so many steps


@dataclass(frozen=True, kw_only=True)
class Place:
    """A parameter [rows, columns], and how it is rounded: the quantizer's choices, the cells and the bits."""

    parameter: nn.Parameter
    quantizer: Quantizer
    cells: Cells
    bits: int


class Latent:
    """The state of one place in training: its latent weights while rounded ones stand in the parameter, and its range.

    `step` is the learned step [groups, buckets] of range 'learned', None without it; `size` is the root mean square of
    the weights at the start: a step learns at the rate times this size, so that it and the weights that it rounds move
    by like shares of themselves.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.step: nn.Parameter | None = None
        self.size = 0.0
        self._range = place.quantizer.range
        self._grid = place.quantizer.grid
        self._weights: Tensor | None = None
        self._moments: Tensor | None = None
        self._found: Bounds | None = None
        if self._range.learned:
            self._begin()

    def stand(self) -> None:
        """Put the rounded values into the parameter; no number of the latent weights is copied."""
        parameter = self.place.parameter
        if self.step is not None:
            self.step.data = self.step.data.to(parameter.device)
        self._weights = parameter.data
        parameter.data = self._rounded(self._weights)

    def lift(self) -> None:
        """Put the latent weights back; does nothing where they are there."""
        if self._weights is not None:
            self.place.parameter.data = self._weights
        self._weights = None

    def read(self, step: int, moment: Tensor | None, *, over: bool) -> None:
        """Take in the second moment of the gradient, and forget a range that is due to be searched for again."""
        if self._grid.curved:
            like = self.place.parameter
            self._moments = torch.ones_like(like) if moment is None else moment.sqrt()
        if over or step % _STEPS_A_SEARCH == 0:
            self._found = None

    def pull(self) -> None:
        """Turn the gradient towards the rounded values, in place, into that of the latent weights, and of the step."""
        gradient, weights = self.place.parameter.grad, self._weights
        if gradient is None or weights is None or not self._range.clips:
            return
        bounds = self._bounds(weights)
        cells = self.place.cells
        inside = (weights >= cells.whole(bounds.low)) & (weights <= cells.whole(bounds.high))
        if self.step is not None:
            scaled = weights / cells.whole(self.step.detach())
            most = self._most
            change = torch.where(inside, scaled.round() - scaled, scaled.clamp(-most, most))
            # Esser et al. 2020, §2.2: 1 / sqrt(n Qp), n the weights that share the step.
            share = 1 / (cells.sizes().to(weights.device) * most).sqrt()
            self.step.grad = cells.reduce(gradient * change, "sum") * share
        gradient.mul_(inside)

    def coded(self) -> Coded:
        """The codes of the latent weights."""
        weights = self._weights if self._weights is not None else self.place.parameter.data
        place = self.place
        bounds = self._bounds(weights) if self._grid.ranged else None
        return place.quantizer.code(weights, place.cells, place.bits, moments=self._given(weights), bounds=bounds)

    def _rounded(self, weights: Tensor) -> Tensor:
        place = self.place
        bounds = self._bounds(weights) if self._grid.ranged else None
        return place.quantizer.rounded(weights, place.cells, place.bits, moments=self._given(weights), bounds=bounds)

    def _given(self, weights: Tensor) -> Tensor | None:
        return torch.ones_like(weights) if self._grid.curved and self._moments is None else self._moments

    @property
    def _most(self) -> int:
        return int(2 ** (self.place.bits - 1) - 1)

    def _bounds(self, weights: Tensor) -> Bounds:
        if self.step is not None:
            high = self.step.detach() * self._most
            return Bounds(-high, high)
        place = self.place
        found = self._found
        if found is None:
            found = place.quantizer.bounds(weights.float(), place.cells, place.bits)
        self._found = found if self._range.searched else None
        return found

    def _begin(self) -> None:
        """The step from which learning starts: 2 mean |w| / sqrt(Qp) (Esser et al. 2020, §2.1)."""
        weights, place = self.place.parameter.detach(), self.place
        bounds = place.quantizer.bounds(weights.float(), place.cells, place.bits)
        self.step = nn.Parameter(bounds.high / self._most)
        self.size = math.sqrt(float(weights.square().mean()))
