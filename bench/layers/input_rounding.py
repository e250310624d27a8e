"""Rounding the numbers that a layer is given to a few even steps, with a straight-through gradient."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError

InputGrid = Literal["symmetric", "affine", "interval"]
RangeScope = Literal["call", "token", "fixed"]


class InputRounding(nn.Module):
    """Numbers [..., width] to the nearest of even steps over a range, in the dtype in which they come.

    `symmetric`: s q with q in [-M, M], M = 2^(b-1) - 1. `affine`: s (q - z) with q and z in [0, 2^b - 1], over the
    range widened to hold 0. `interval`: low + s q with q in [0, 2^b - 1], where both ends are exact and 0 need not be.
    Halves round to even; a range of no width has steps of 1. The range is that of each call, of each token of it, or
    `fixed` in the buffers `low` and `high` float32 []. The gradient is that of the identity, and zero if a number
    was clipped (Jacob et al. 2018, arXiv:1712.05877, §3).

    Args:
        bits: width of a code.
        grid: which steps.
        span: what has a range of its own.
        clip: numbers beyond -clip and clip are clipped before the range of a call or token is found; None is nowhere.

    `step` is a step that is learned with the weights, and `size` that of the numbers it rounds; here there is none.
    """

    def __init__(
        self, bits: int = 8, grid: InputGrid = "symmetric", span: RangeScope = "call", clip: float | None = None
    ) -> None:
        super().__init__()
        if not 2 <= bits <= 8:
            raise MethodError(f"inputs can be rounded to 2 to 8 bits, found {bits}")
        if span == "fixed" and clip is not None:
            raise MethodError("a fixed input range already has ends, so clip must be left out")
        self.bits = bits
        self.grid: InputGrid = grid
        self.span: RangeScope = span
        self.clip = clip
        self.step: nn.Parameter | None = None
        self.size = 0.0
        if span == "fixed":
            self.register_buffer("low", torch.zeros(()))
            self.register_buffer("high", torch.zeros(()))

    @classmethod
    def fixed(cls, low: float, high: float, *, bits: int = 8, grid: InputGrid = "symmetric") -> InputRounding:
        """The rounding over one range that stays."""
        made = cls(bits, grid, "fixed")
        made.hold(torch.tensor(low), torch.tensor(high))
        return made

    def hold(self, low: Tensor, high: Tensor) -> None:
        """Let the fixed range go from `low` to `high`, each []."""
        held = {"low": low, "high": high}
        for name, value in held.items():
            setattr(self, name, value.detach().float().clone())

    def watch(self, values: Tensor) -> None:
        """Take in what the layer is given in training, for a range that learns; this one does not."""

    def stored(self) -> InputRounding:
        """The rounding as it stays with a packed layer."""
        return self

    @override
    def forward(self, values: Tensor) -> Tensor:
        low, high = self._ends(values.detach())
        if self.grid == "interval":
            return self._stepped(values - low, torch.zeros_like(low), high - low) + low
        return self._stepped(values, low, high)

    def _stepped(self, values: Tensor, low: Tensor, high: Tensor) -> Tensor:
        scale, zero = steps_of(low, high, self.bits, self.grid)
        least, most = ends_of(self.bits, self.grid)
        clips = self.span == "fixed" or self.clip is not None
        if not (torch.is_grad_enabled() and values.requires_grad):
            return rounded(values, scale, zero, least, most)[0]
        return cast(Tensor, StraightThroughRounding.apply(values, scale, zero, least, most, clips))  # type: ignore[no-untyped-call]

    def arguments(self) -> dict[str, Any]:
        """What rebuilds it without its range."""
        return {"bits": self.bits, "grid": self.grid, "span": self.span, "clip": self.clip}

    @override
    def extra_repr(self) -> str:
        return f"{self.grid}, {self.bits} bits, span={self.span}"

    def _ends(self, values: Tensor) -> tuple[Tensor, Tensor]:
        if self.span == "fixed":
            return self.low, self.high  # type: ignore[return-value]
        token = self.span == "token"
        low, high = torch.aminmax(values, dim=-1, keepdim=True) if token else torch.aminmax(values)
        return (
            (low, high) if self.clip is None else (low.clamp(-self.clip, self.clip), high.clamp(-self.clip, self.clip))
        )


class StraightThroughRounding(torch.autograd.Function):
    """`rounded` with the gradient of the identity; with `clips`, zero for codes that were clipped."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, scale: Tensor, zero: Tensor | None, least: int, most: int, clips: bool
    ) -> Tensor:
        """The rounded values, shaped as `values`."""
        found, inside = rounded(values, scale, zero, least, most, clips=clips)
        if inside is not None:
            ctx.save_for_backward(inside)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the identity, zero for what was clipped."""
        (gradient,) = gradients
        inside = ctx.saved_tensors
        return (gradient * inside[0] if inside else gradient, None, None, None, None, None)


def rounded(
    values: Tensor, scale: Tensor, zero: Tensor | None, least: int, most: int, *, clips: bool = False
) -> tuple[Tensor, Tensor | None]:
    """The nearest of the steps `least` to `most` to each number, and if `clips`, which codes were not clipped."""
    steps = (values / scale).round_()
    if zero is not None:
        steps.add_(zero)
    inside = (steps >= least) & (steps <= most) if clips else None
    steps.clamp_(least, most)
    if zero is not None:
        steps.sub_(zero)
    return steps.mul_(scale), inside


def ends_of(bits: int, grid: InputGrid) -> tuple[int, int]:
    """The least and the largest code."""
    largest = 2 ** (bits - 1) - 1
    return (-largest, largest) if grid == "symmetric" else (0, 2**bits - 1)


def steps_of(low: Tensor, high: Tensor, bits: int, grid: InputGrid) -> tuple[Tensor, Tensor | None]:
    """The step of a range and its zero point, None if codes are symmetric about 0."""
    least, most = ends_of(bits, grid)
    if grid == "symmetric":
        return _positive(torch.maximum(low.abs(), high.abs()) / most), None
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _positive((high - low) / (most - least))
    return scale, (-low / scale).round().clamp(least, most)


def _positive(scale: Tensor) -> Tensor:
    return scale.masked_fill(scale == 0, 1.0)
