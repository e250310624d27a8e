"""The range of each layer's inputs: found on training examples, followed or learned in training, then fixed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.cells import Cells
from bench.layers.input_rounding import InputGrid, InputRounding, RangeScope
from bench.layers.int8 import input_bits
from bench.layers.int8_static import input_steps, largest_code
from bench.methods.base.listening import alike, listening, run
from bench.methods.quantize.grid import GRIDS, CellBounds, GridInput
from bench.methods.quantize.ranges import Clip, MovingAverage, RangeInput
from bench.methods.quantize.site import FactorizedSite, FactorizedTableSite, WeightSite

if TYPE_CHECKING:
    from bench.methods.quantize.work import Quantization

SAMPLE = 2**16  # activations per layer that are kept, however many are seen


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
        """The sample with the two extremes, [1, n]; raises `MethodError` if nothing was seen."""
        if self._ends is None:
            raise MethodError("quantize: a layer received no input from the training examples")
        return torch.cat([self._values, torch.tensor(self._ends)])[None]


def activation_bounds(
    layers: Mapping[str, nn.Module], work: Quantization, *, bits: int = 8, grid: str = "affine"
) -> dict[str, Ends]:
    """The range of each layer's inputs on the first `examples` training examples, by `activation_range`.

    The model runs in evaluation mode on batches of one length, so that no padding is counted. `bits` and `grid` are
    what the range is found for.
    """
    chosen = work.activation_range
    if isinstance(chosen, MovingAverage):
        return _moving_averages(layers, work, momentum=chosen.momentum)
    draws = torch.Generator().manual_seed(work.lab.seed)
    observers = {name: Observer(draws) for name in layers}
    with listening({module: observers[name].add for name, module in layers.items()}):
        for batch in alike(work.lab, examples=work.examples):
            run(work.model, batch)
    return {name: _ends(observer.values(), work, bits, grid) for name, observer in observers.items()}


def _moving_averages(layers: Mapping[str, nn.Module], work: Quantization, *, momentum: float) -> dict[str, Ends]:
    followers = {name: MovingInputs(momentum=momentum) for name in layers}
    with listening({module: followers[name].watch for name, module in layers.items()}):
        for batch in alike(work.lab, examples=work.examples):
            run(work.model, batch)
    return {name: ends_of(follower.stored()) for name, follower in followers.items()}


def ends_of(rounding: InputRounding) -> Ends:
    """The fixed range of a rounding, widened to hold 0."""
    return Ends(min(float(cast(Tensor, rounding.low)), 0.0), max(float(cast(Tensor, rounding.high)), 0.0))


def _ends(values: Tensor, work: Quantization, bits: int, grid: str) -> Ends:
    cells = Cells(rows=1, columns=values.shape[1], groups=1, bucket=values.shape[1])

    def rounded(bounds: CellBounds) -> Tensor:
        return GRIDS.get(grid)().rounded(GridInput(values=values, cells=cells, bits=bits, bounds=bounds))

    low, high = work.activation_range.bounds(RangeInput(values=values, cells=cells, rounded=rounded, bits=bits))
    return Ends(min(float(low), 0.0), max(float(high), 0.0))


class MovingInputs(InputRounding):
    """r <- momentum r + (1 - momentum) of a batch's extremes, from the first batch's own (range 'moving-average').

    In training, padding counts, as in the published codes.
    """

    def __init__(self, bits: int = 8, grid: InputGrid = "symmetric", *, momentum: float) -> None:
        super().__init__(bits, grid, "fixed")
        self._momentum = momentum
        self._seen = False

    @override
    def watch(self, values: Tensor) -> None:
        low, high = torch.aminmax(values.float())
        if self._seen:
            low, high = self.low.lerp(low, 1 - self._momentum), self.high.lerp(high, 1 - self._momentum)  # type: ignore[operator]
        self.hold(low, high)
        self._seen = True

    @override
    def stored(self) -> InputRounding:
        """Raises `MethodError` if no batch came by."""
        return _kept(self, seen=self._seen)


class LearnedInputs(InputRounding):
    """Steps of a learned size about 0 (range 'learned'; Esser et al. 2020, arXiv:1902.08153)."""

    def __init__(self, bits: int = 8) -> None:
        super().__init__(bits, "symmetric", "fixed")
        self._most = 2 ** (bits - 1) - 1
        self.step = nn.Parameter(torch.zeros(()))

    @override
    def watch(self, values: Tensor) -> None:
        """The first batch says from which step learning starts: 2 mean |x| / sqrt(Qp)."""
        if not self.size and self.step is not None:
            mean = values.float().abs().mean()
            self.step.data = (2 * mean / math.sqrt(self._most)).masked_fill_(mean == 0, 1.0)
            self.size = float(values.float().square().mean().sqrt())

    @override
    def forward(self, values: Tensor) -> Tensor:
        return cast(Tensor, _LearnedSteps.apply(values, self.step, self._most))  # type: ignore[no-untyped-call]

    @override
    def stored(self) -> InputRounding:
        if self.step is not None:
            high = self.step.detach() * self._most
            self.hold(-high, high)
        return _kept(self, seen=bool(self.size))


class _LearnedSteps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, most: int) -> Tensor:
        """s clip(round(v / s), -Qp, Qp)."""
        step = step * most / most  # as the stored form, which keeps the ends, has it
        scaled = values / step
        ctx.save_for_backward(scaled)
        ctx.most = most
        return scaled.round().clamp_(-most, most).mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Esser et al. 2020, eq. 3 and §2.2: round(v / s) - v / s inside and the end outside, over sqrt(n Qp)."""
        (gradient,) = gradients
        (scaled,) = ctx.saved_tensors
        inside = scaled.abs() <= ctx.most
        change = torch.where(inside, scaled.round() - scaled, scaled.clamp(-ctx.most, ctx.most))
        step = (gradient * change).sum() / math.sqrt(scaled.numel() * ctx.most)
        return gradient * inside, step, None


def _kept(rounding: InputRounding, *, seen: bool) -> InputRounding:
    if not seen:
        raise MethodError("quantize: a layer received no input in training, so its inputs have no range")
    low, high = cast(Tensor, rounding.low), cast(Tensor, rounding.high)
    made = InputRounding(rounding.bits, rounding.grid, "fixed")
    made.hold(low, high)
    return made


class StaticInputs(MovingInputs):
    """As `StaticInt8Linear` rounds them, over a range that follows batches, or that is given.

    Args:
        ends: the range; None follows batches.
        momentum: weight of earlier batches.
    """

    def __init__(self, ends: Ends | None, *, momentum: float) -> None:
        super().__init__(8, "affine", momentum=momentum)
        self._follows = ends is None
        if ends is not None:
            super().watch(torch.tensor(ends))

    @override
    def watch(self, values: Tensor) -> None:
        if self._follows:
            super().watch(values)

    @override
    def forward(self, values: Tensor) -> Tensor:
        scale, zero, low, high = input_steps(*ends_of(self))
        return torch.fake_quantize_per_tensor_affine(values.clamp(low, high), scale, zero, 0, largest_code())


class DynamicInputs(InputRounding):
    """As `Int8Linear` rounds them: each row over its largest magnitude, and all rows over the range of the call."""

    def __init__(self) -> None:
        super().__init__(8, "affine", "call")

    @override
    def forward(self, values: Tensor) -> Tensor:
        return cast(Tensor, _DynamicSteps.apply(values))  # type: ignore[no-untyped-call]


class _DynamicSteps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """The numbers that the kernel multiplies, times what it multiplies by afterwards."""
        largest = values.abs().amax(dim=-1, keepdim=True).clamp_min_(torch.finfo(torch.float32).tiny)
        even = (values / largest).float()
        scale, zero = torch._choose_qparams_per_tensor(even, input_bits() < 8)
        # Of 7 bits the kernel has one code more, which the largest number may round to.
        found = torch.fake_quantize_per_tensor_affine(even, scale, zero, 0, 255)
        return found.to(values.dtype).mul_(largest)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The gradient of the identity: nothing is clipped."""
        return gradients[0]


def multiplied(sites: Sequence[WeightSite]) -> dict[str, nn.Module]:
    """The linear layers of `sites` whose inputs can be rounded, by name; raises `MethodError` for factorized ones."""
    found: dict[str, nn.Module] = {}
    for site in sites:
        if isinstance(site, FactorizedSite | FactorizedTableSite):
            raise MethodError(
                f"quantize: {site.name} is factorized, so its inner activations cannot be rounded in training or over "
                f"a fixed range. Give scheme 'weights' without activation_bits, or scheme 'dynamic' without a "
                "budget."
            )
        if site.multiplies is not None:
            found[site.name] = site.multiplies
    return found


def rounded_inputs(
    work: Quantization,
    sites: Sequence[WeightSite],
    *,
    bits: int | None,
    grid: InputGrid,
    span: RangeScope,
) -> dict[nn.Module, InputRounding]:
    """How what each site multiplies is rounded to `bits`; without bits nothing is.

    Raises `MethodError` for a factorized layer whose inputs are to be rounded, or if there are no training examples to
    find ranges on.
    """
    if bits is None:
        return {}
    linears, chosen = multiplied(sites), work.activation_range
    if span != "fixed":
        clip = chosen.end if isinstance(chosen, Clip) else None
        return {linear: InputRounding(bits, grid, span, clip) for linear in linears.values()}
    if chosen.learned:
        return {linear: LearnedInputs(bits) for linear in linears.values()}
    if isinstance(chosen, MovingAverage) and work.training.budget:
        return {linear: MovingInputs(bits, grid, momentum=chosen.momentum) for linear in linears.values()}
    ends = activation_bounds(linears, work, bits=bits, grid=grid)
    return {linear: InputRounding.fixed(*ends[name], bits=bits, grid=grid) for name, linear in linears.items()}
