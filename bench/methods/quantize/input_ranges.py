"""Ranges of a layer's inputs that learn in training and stay in evaluation."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.layers.input_rounding import InputGrid, InputRounding


class MovingInputs(InputRounding):
    """r <- momentum r + (1 - momentum) of a batch's extremes, from the first batch's own (range 'moving-average').

    Padding is among what is seen in training, as in the published codes.
    """

    def __init__(self, bits: int = 8, grid: InputGrid = "symmetric", *, momentum: float) -> None:
        super().__init__(bits, grid, "fixed")
        self._momentum = momentum
        self._seen = False

    def watch(self, values: Tensor) -> None:
        """See `InputRounding`."""
        low, high = torch.aminmax(values.float())
        if self._seen:
            low, high = self.low.lerp(low, 1 - self._momentum), self.high.lerp(high, 1 - self._momentum)  # type: ignore[operator]
        self.hold(low, high)
        self._seen = True

    def stored(self) -> InputRounding:
        """See `InputRounding`; raises `MethodError` where no batch came by."""
        return _kept(self, seen=self._seen)


class LearnedInputs(InputRounding):
    """Steps of a learned size about 0 (range 'learned'; Esser et al. 2020, arXiv:1902.08153)."""

    def __init__(self, bits: int = 8) -> None:
        super().__init__(bits, "symmetric", "fixed")
        self._most = 2 ** (bits - 1) - 1
        self.step = nn.Parameter(torch.zeros(()))

    def watch(self, values: Tensor) -> None:
        """See `InputRounding`; the first batch says from which step learning starts: 2 mean |x| / sqrt(Qp)."""
        if not self.size and self.step is not None:
            mean = values.float().abs().mean()
            self.step.data = (2 * mean / math.sqrt(self._most)).masked_fill_(mean == 0, 1.0)
            self.size = float(values.float().square().mean().sqrt())

    def forward(self, values: Tensor) -> Tensor:
        """See `InputRounding`."""
        return cast(Tensor, _LearnedSteps.apply(values, self.step, self._most))  # type: ignore[no-untyped-call]

    def stored(self) -> InputRounding:
        """See `InputRounding`."""
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
        raise MethodError("quantize: a layer was given no input in training, so its inputs have no range")
    low, high = cast(Tensor, rounding.low), cast(Tensor, rounding.high)
    made = InputRounding(rounding.bits, rounding.grid, "fixed")
    made.hold(low, high)
    return made
