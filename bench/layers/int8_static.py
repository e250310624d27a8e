"""A linear layer with int8 weights whose activations are quantized over one fixed range, on an integer kernel."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.int8 import Int8Linear, _reduce_range
from bench.layers.layer import DEQUANTIZED, LAYER_KINDS

ENGINE = "fbgemm"


@LAYER_KINDS.register("int8-static-linear")
class StaticInt8Linear(Int8Linear):
    """An `Int8Linear` whose inputs are rounded to even steps from `low` to `high`, which holds 0; others are clipped.

    The scheme of Jacob et al. 2018 (arXiv:1712.05877, §2): a scale and a whole zero point for the inputs, no look at
    their values at run time. fbgemm rounds them, multiplies, adds the bias and gives floats in one call; if it is
    missing, rounded inputs and weights are multiplied in float, and `kernel` says so. CPUs without VNNI instructions
    leave 7 bits to an input, as in `Int8Linear`.

    Buffers: those of `Int8Linear`, and `low` and `high` float32 [].
    """

    kind: ClassVar[str] = "int8-static-linear"
    low: Tensor
    high: Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.ones(()))
        self._steps: tuple[float, int, float, float] | None = None

    @classmethod
    def from_ranges(cls, weight: Tensor, bias: Tensor | None, low: float, high: float) -> StaticInt8Linear:
        """Round `weight` [out, in] as `Int8Linear.from_float` does, for inputs from `low` to `high`.

        Raises `MethodError` for a range without 0 in it, or of no width.
        """
        if not low <= 0 <= high or low == high:
            raise MethodError(f"a range of activations from {low} to {high} must contain 0 and must not be empty")
        layer = cls.from_float(weight, bias)
        assigned = {"low": low, "high": high}
        for name, value in assigned.items():
            setattr(layer, name, torch.tensor(value, dtype=torch.float32, device=weight.device))
        return layer  # type: ignore[return-value]

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and inputs.requires_grad and torch.is_grad_enabled():
            raise MethodError("an int8 layer has no gradient. Train first and quantize in the last stage")
        scale, zero, low, high = self._input_steps()
        values = inputs.detach().float().clamp(low, high)
        if self.kernel == DEQUANTIZED:
            rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, 255)
            return functional.linear(rounded, self.dense(), self.bias).to(inputs.dtype)
        packed = self._only_packed(ENGINE, self.bias)
        product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(values, scale, zero, packed)
        return product.to(inputs.dtype)  # type: ignore[no-any-return]

    @property
    @override
    def kernel(self) -> str:
        if self.scale.device.type != "cpu" or not _has_engine():
            return DEQUANTIZED
        return f"{ENGINE} static int8 ({7 if _reduce_range(ENGINE) else 8}-bit activations)"

    def _input_steps(self) -> tuple[float, int, float, float]:
        """Scale and zero point of the inputs, and the ends of what they can say."""
        if self._steps is None:
            self._steps = input_steps(float(self.low), float(self.high))
        return self._steps

    def _only_plain(self) -> None:
        self.__dict__["_steps"] = None
        super()._only_plain()


def input_steps(low: float, high: float) -> tuple[float, int, float, float]:
    """Scale and zero point of inputs from `low` to `high`, and the ends of what they can say."""
    most = largest_code()
    scale = (high - low) / most
    zero = round(-low / scale)
    return scale, zero, -zero * scale, (most - zero) * scale


def largest_code() -> int:
    """The largest code of an input on this machine."""
    return 127 if _has_engine() and _reduce_range(ENGINE) else 255


@functools.cache
def _has_engine() -> bool:
    """Whether this build of torch has the engine and its product of float inputs with fixed steps."""
    return (
        ENGINE in torch.backends.quantized.supported_engines
        and hasattr(torch, "_make_per_channel_quantized_tensor")
        and hasattr(torch.ops.quantized, "linear_with_input_q_dq_qweight_dq_output_fp32")
    )
