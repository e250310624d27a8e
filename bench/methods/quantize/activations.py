"""The range of each layer's inputs over training examples, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.layers.cells import Cells
from bench.methods.base.listening import alike, listening, run
from bench.methods.quantize.grid import GRIDS, Asked, Bounds
from bench.methods.quantize.input_ranges import MovingInputs
from bench.methods.quantize.range import Ranged
from bench.methods.quantize.ranges.moving_average import MovingAverage

if TYPE_CHECKING:
    from bench.layers.input_rounding import InputRounding
    from bench.methods.quantize.work import Work

SAMPLE = 2**16  # activations a layer that are kept, however many are seen


class Ends(NamedTuple):
    """The least and the largest input that a layer's integers cover."""

    low: float
    high: float


class Observer:
    """A sample of what a layer is given: the exact extremes, and up to `SAMPLE` values that every value may be among.

    Values are drawn by chance, evenly over all that were seen (a reservoir by random keys: those with the least keys
    stay).
    """

    def __init__(self, draws: torch.Generator) -> None:
        self._draws = draws
        self._keys = torch.empty(0)
        self._values = torch.empty(0)
        self._ends: Ends | None = None

    def add(self, inputs: Tensor) -> None:
        """Take in inputs [rows, n] of the layer."""
        flat = inputs.detach().float().reshape(-1).cpu()
        before = self._ends or Ends(float("inf"), float("-inf"))
        self._ends = Ends(min(before.low, float(flat.min())), max(before.high, float(flat.max())))
        keys = torch.cat([self._keys, torch.rand(len(flat), generator=self._draws)])
        values = torch.cat([self._values, flat])
        kept = keys.topk(min(SAMPLE, len(keys)), largest=False).indices
        self._keys, self._values = keys[kept], values[kept]

    def values(self) -> Tensor:
        """The sample with the two extremes, [1, n]; raises `MethodError` where nothing was seen."""
        if self._ends is None:
            raise MethodError("quantize: a layer was given no input by the training examples")
        return torch.cat([self._values, torch.tensor(self._ends)])[None]


def activation_bounds(
    layers: Mapping[str, nn.Module], work: Work, *, bits: int = 8, grid: str = "affine"
) -> dict[str, Ends]:
    """The range of each layer's inputs on the first `examples` training examples, by `activation_range`.

    The model runs in evaluation mode on batches of one length, so that no padding is counted. `bits` and `grid` are
    what the range is found for.
    """
    chosen = work.activation_range
    if isinstance(chosen, MovingAverage):
        return _moving_averages(layers, work, momentum=chosen.activation_momentum)
    draws = torch.Generator().manual_seed(work.lab.seed)
    observers = {name: Observer(draws) for name in layers}
    with listening({module: observers[name].add for name, module in layers.items()}):
        for batch in alike(work.lab, examples=work.method.examples):
            run(work.model, batch)
    return {name: _ends(observer.values(), work, bits, grid) for name, observer in observers.items()}


def _moving_averages(layers: Mapping[str, nn.Module], work: Work, *, momentum: float) -> dict[str, Ends]:
    followers = {name: MovingInputs(momentum=momentum) for name in layers}
    with listening({module: followers[name].watch for name, module in layers.items()}):
        for batch in alike(work.lab, examples=work.method.examples):
            run(work.model, batch)
    return {name: ends_of(follower.stored()) for name, follower in followers.items()}


def ends_of(rounding: InputRounding) -> Ends:
    """The fixed range of a rounding, widened to hold 0."""
    return Ends(min(float(cast(Tensor, rounding.low)), 0.0), max(float(cast(Tensor, rounding.high)), 0.0))


def _ends(values: Tensor, work: Work, bits: int, grid: str) -> Ends:
    cells = Cells(rows=1, columns=values.shape[1], groups=1, bucket=values.shape[1])

    def rounded(bounds: Bounds) -> Tensor:
        return GRIDS.get(grid)().rounded(Asked(values=values, cells=cells, bits=bits, bounds=bounds))

    low, high = work.activation_range.bounds(Ranged(values=values, cells=cells, rounded=rounded, bits=bits))
    return Ends(min(float(low), 0.0), max(float(high), 0.0))
