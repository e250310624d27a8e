"""What a range is: how much of the values a grid of even steps covers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.methods.quantizing.grid import Bounds
from bench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.cells import Cells


@dataclass(frozen=True, kw_only=True)
class Ranged:
    """What a range is found for: `values` [rows, columns] in `cells`.

    `rounded` gives the values that a grid over some bounds would make of them, `bits` is how many its codes have.
    `percentile` and `clip` are what the stage was told, for the ranges that have a use for them.
    """

    values: Tensor
    cells: Cells
    rounded: Callable[[Bounds], Tensor]
    percentile: float
    clip: float
    bits: int = 8


class Range(ABC):
    """Finds the bounds of each cell; instances hold no state. Weights have it directly, activations over a sample.

    `clips`: in training, what lies outside gets no gradient. `searched`: finding it takes several roundings, so that
    training holds it for a while. `learned`: it trains with the weights. `moving`: it follows batches of activations,
    and is none for weights.
    """

    clips: ClassVar[bool] = False
    searched: ClassVar[bool] = False
    learned: ClassVar[bool] = False
    moving: ClassVar[bool] = False

    @abstractmethod
    def bounds(self, ranged: Ranged) -> Bounds:
        """The least and the largest number that is covered."""


RANGES: Registry[Range] = Registry(
    "range",
    modules=(
        "bench.methods.quantizing.ranges.min_max",
        "bench.methods.quantizing.ranges.percentile",
        "bench.methods.quantizing.ranges.clip",
        "bench.methods.quantizing.ranges.square_error",
        "bench.methods.quantizing.ranges.moving_average",
        "bench.methods.quantizing.ranges.learned",
    ),
    group="bench.ranges",
)
