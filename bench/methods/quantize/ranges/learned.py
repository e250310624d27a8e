"""The range whose step is learned with the weights."""

from __future__ import annotations

import math
from typing import ClassVar

from bench.methods.quantize.grid import Bounds
from bench.methods.quantize.range import RANGES, Range, Ranged


class LearnedStep(Range):
    """A symmetric range of Qp = 2^(b-1) - 1 steps of a learned size to each side (LSQ, Esser et al. 2020).

    The step begins at 2 mean |v| / sqrt(Qp), and its gradient is scaled by 1 / sqrt(n Qp) for n numbers that share it
    (arXiv:1902.08153, §2.1 and §2.2). The paper's grid has one more step below zero. There it learns by the rule of the
    weights, gradient descent; here by Adam, for which that scale is without effect, at the rate times the root mean
    square of the numbers, so that steps and numbers move by like shares of themselves.
    """

    clips: ClassVar[bool] = True
    learned: ClassVar[bool] = True

    def bounds(self, ranged: Ranged) -> Bounds:
        """See `Range`: the range from which learning starts."""
        cells, most = ranged.cells, 2 ** (ranged.bits - 1) - 1
        mean = cells.reduce(ranged.values.abs(), "sum") / cells.sizes().to(ranged.values.device)
        high = (2 * mean / math.sqrt(most)).masked_fill_(mean == 0, 1.0) * most
        return Bounds(-high, high)


RANGES.register("learned")(LearnedStep)
