"""What a range is: how much of the values a grid of even steps covers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.base.registry import Registry
from bench.methods.base.choice import Choice
from bench.methods.quantize.grid import Bounds

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.cells import Cells


@dataclass(frozen=True, kw_only=True)
class Ranged:
    """What a range is found for: `values` [rows, columns] in `cells`.

    `rounded` gives the values that a grid over some bounds would make of them, `bits` is how many its codes have.
    """

    values: Tensor
    cells: Cells
    rounded: Callable[[Bounds], Tensor]
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
    def bounds(self, ranged: Ranged) -> Bounds:
        """The least and the largest number that is covered."""


RANGES: Registry[type[Range]] = Registry(
    "range",
    modules=(
        "bench.methods.quantize.ranges.min_max",
        "bench.methods.quantize.ranges.percentile",
        "bench.methods.quantize.ranges.clip",
        "bench.methods.quantize.ranges.square_error",
        "bench.methods.quantize.ranges.moving_average",
        "bench.methods.quantize.ranges.learned",
    ),
    group="bench.ranges",
)


def check_learned(argument: str, name: str, *, grid: str, budget: float) -> None:
    """Raise `ValueError` where the range `name` of an argument is learned, and its grid or the budget forbids it."""
    if not RANGES.get(name).learned:
        return
    if grid != "symmetric":
        raise ValueError(f"{argument} '{name}' learns the step of a symmetric grid, found grid '{grid}'")
    if not budget:
        raise ValueError(f"{argument} '{name}' is learned, and a budget of 0 trains nothing")
