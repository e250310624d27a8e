"""Ranges: how much of the values a grid of even steps covers."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices
from bench.methods.quantize.grid import CellBounds

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.cells import Cells

# Shares of the full range that are tried; the best of a 2-bit grid over normal weights is near a third.
SHARES = tuple(1 - 0.03 * step for step in range(31))


@dataclass(frozen=True, kw_only=True)
class RangeInput:
    """What a range is found for: `values` [rows, columns] in `cells`.

    `rounded` gives the values that a grid over some bounds would make of them, `bits` is how many its codes have.
    """

    values: Tensor
    cells: Cells
    rounded: Callable[[CellBounds], Tensor]
    bits: int = 8


class Range(Choice):
    """Finds the bounds of each cell; fields are its arguments. Weights have it directly, activations over a sample.

    `clips`: in training, what lies outside gets no gradient. `searched`: finding it takes several roundings, so that
    training holds it for a while. `learned`: it trains with the weights.
    """

    clips: ClassVar[bool] = False
    searched: ClassVar[bool] = False
    learned: ClassVar[bool] = False

    @abstractmethod
    def bounds(self, given: RangeInput) -> CellBounds:
        """The least and the largest number that is covered."""


RANGES: Choices[Range] = Choices("range", modules=(), group="bench.ranges")


@RANGES.register("min-max")
class MinMax(Range):
    """Nothing is clipped."""

    @override
    def bounds(self, given: RangeInput) -> CellBounds:
        return CellBounds(given.cells.reduce(given.values, "amin"), given.cells.reduce(given.values, "amax"))


@RANGES.register("percentile")
class Percentile(Range):
    """From the (100 - `percent`)-th to the `percent`-th percentile of each cell, by nearest rank towards the middle."""

    searched: ClassVar[bool] = True

    percent: float = Field(99.9, gt=50, le=100, description="percentage of the values below the end of the range")

    @override
    def bounds(self, given: RangeInput) -> CellBounds:
        import torch

        lows, highs = [], []
        for cell in given.cells.split(given.values):
            rank = max(1, math.ceil(self.percent / 100 * len(cell)))
            highs.append(cell.kthvalue(rank).values)
            lows.append(cell.kthvalue(len(cell) + 1 - rank).values)
        shape = given.cells.shape
        return CellBounds(torch.stack(lows).view(shape), torch.stack(highs).view(shape))


@RANGES.register("clip")
class Clip(Range):
    """From -`end` to `end` in every cell (TernaryBERT's code has 2.5 for weights and activations)."""

    clips: ClassVar[bool] = True

    end: float = Field(2.5, gt=0, description="the end of the range")

    @override
    def bounds(self, given: RangeInput) -> CellBounds:
        ends = given.values.new_full(given.cells.shape, self.end)
        return CellBounds(-ends, ends)


@RANGES.register("square-error")
class SquareError(Range):
    """The share of the min-max range with the least squared error per cell; never worse than min-max."""

    searched: ClassVar[bool] = True

    @override
    def bounds(self, given: RangeInput) -> CellBounds:
        """Costs one rounding of all values per share."""
        full = MinMax().bounds(given)
        best, least = full, self._errors(given, full)
        for share in SHARES[1:]:
            tried = CellBounds(full.low * share, full.high * share)
            errors = self._errors(given, tried)
            better = errors < least
            least = errors.where(better, least)
            best = CellBounds(tried.low.where(better, best.low), tried.high.where(better, best.high))
        return best

    def _errors(self, given: RangeInput, bounds: CellBounds) -> Tensor:
        return given.cells.reduce((given.rounded(bounds) - given.values).square_(), "sum")


@RANGES.register("moving-average")
class MovingAverage(Range):
    """r <- m r + (1 - m) of a batch's extremes, from those of the first batch (Jacob et al. 2018, §3.1; Q8BERT).

    With training, it follows the training batches and is then fixed; without, it follows the calibration batches.
    """

    momentum: float = Field(0.95, ge=0, lt=1, description="weight of earlier batches in the moving average")

    @override
    def bounds(self, given: RangeInput) -> CellBounds:
        """The extremes of one batch."""
        return MinMax().bounds(given)


@RANGES.register("learned")
class LearnedStep(Range):
    """A symmetric range of Qp = 2^(b-1) - 1 steps on each side, with a learned step size (LSQ, Esser et al. 2020).

    The step begins at 2 mean |v| / sqrt(Qp), and its gradient is scaled by 1 / sqrt(n Qp) for n numbers that share it
    (arXiv:1902.08153, §2.1 and §2.2). The paper's grid has one more step below zero. The paper trains it by gradient
    descent, as the weights; here Adam trains it (that scale then has no effect), at the rate times the root mean square
    of the numbers, so that steps and numbers change by similar relative amounts.
    """

    clips: ClassVar[bool] = True
    learned: ClassVar[bool] = True

    @override
    def bounds(self, given: RangeInput) -> CellBounds:
        """The range from which learning starts."""
        cells, most = given.cells, 2 ** (given.bits - 1) - 1
        mean = cells.reduce(given.values.abs(), "sum") / cells.sizes().to(given.values.device)
        high = (2 * mean / math.sqrt(most)).masked_fill_(mean == 0, 1.0) * most
        return CellBounds(-high, high)


def check_learned(argument: str, given: Range, *, grid: str, budget: float) -> None:
    """Raise `ValueError` if the range of an argument is learned, and its grid or the budget forbids it."""
    if not given.learned:
        return
    if grid != "symmetric":
        raise ValueError(f"{argument} '{given.called}' learns the step of a symmetric grid; found grid '{grid}'")
    if not budget:
        raise ValueError(f"{argument} '{given.called}' is learned, but a budget of 0 trains nothing")
