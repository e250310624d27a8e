"""Inputs rounded in training as the integer kernels round them."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from bench.layers.input_rounding import InputRounding
from bench.layers.int8 import input_bits
from bench.layers.int8_static import input_steps, largest_code
from bench.methods.quantize.activations import Ends, ends_of
from bench.methods.quantize.input_ranges import MovingInputs


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

    def watch(self, values: Tensor) -> None:
        """See `InputRounding`."""
        if self._follows:
            super().watch(values)

    def forward(self, values: Tensor) -> Tensor:
        """See `InputRounding`."""
        scale, zero, low, high = input_steps(*ends_of(self))
        return torch.fake_quantize_per_tensor_affine(values.clamp(low, high), scale, zero, 0, largest_code())


class DynamicInputs(InputRounding):
    """As `Int8Linear` rounds them: each row over its largest magnitude, and all rows over the range of the call."""

    def __init__(self) -> None:
        super().__init__(8, "affine", "call")

    def forward(self, values: Tensor) -> Tensor:
        """See `InputRounding`."""
        return cast(Tensor, _Dynamic.apply(values))  # type: ignore[no-untyped-call]


class _Dynamic(torch.autograd.Function):
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
