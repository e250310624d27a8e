"""The parts of an integer encoder layer that hold tensors: linear map and layer norm, each with its requantization."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.layers.integer.dyadic import Requantize, dyadic, half_up
from bench.layers.integer.functions import NORMALIZED_BITS, i_normalize
from bench.layers.integer.matmul import integer_matmul

LARGEST = 127
WIDEST = 4096  # what `i_normalize` has the bits for
_MOST_BIAS = 2**30
_MOST_NORM_SHIFT = 48
_MOST_NORM_BIAS = 2**13  # in steps of the 8-bit output, of which all but 2^7 are clipped
SPREAD = 2**8  # between the largest and the smallest scale of a matrix
_SCALE_OF_ZEROS = 2.0**-12  # of a matrix in which nothing tells one


class IntegerLinear(nn.Module):
    """A product of int8 with int8 in int32, an int32 bias in the scale of the sums, then one dyadic number a channel.

    Buffers: `weight` int8 [out_features, in_features], `bias` int32 [out_features], and those of `to_next`. Sums are
    exact: of fewer than 2^16 products of 15 bits.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("bias", torch.zeros(out_features, dtype=torch.int32))
        self.to_next = Requantize(out_features)

    def set(self, weight: Tensor, scale: Tensor, bias: Tensor | None, *, given: float, wanted: float) -> None:
        """Take the steps `weight` int8 [out, in] of `scale` [out], held and not copied, and `bias` [out] or None.

        Args:
            weight: see `rounded`.
            scale: see `rounded`.
            bias: of the float layer.
            given: the scale of the inputs.
            wanted: the scale of the outputs.

        Raises `MethodError` where a bias does not fit in 31 bits.
        """
        sums = scale.double() * given
        self.weight = weight
        if bias is None:
            self.bias = torch.zeros_like(self.bias, device=weight.device)
        else:
            steps = torch.round(bias.detach().double() / sums)
            if not float(steps.abs().max()) < _MOST_BIAS:
                raise MethodError(f"integer: a bias of {float(steps.abs().max()):g} steps of its sums, above 2^30")
            self.bias = steps.to(torch.int32)
        self.to_next.set(sums / wanted)

    def forward(self, inputs: Tensor, *, limit: int) -> Tensor:
        """int8 [..., in_features] to int64 [..., out_features] in [-limit, limit]."""
        sums = integer_matmul(inputs, self.weight.t()) + self.bias
        wide: Tensor = self.to_next(sums, limit=limit)
        return wide


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """`weight` [out, in] on a symmetric grid of [-127, 127] a channel, int8, and the scales [out], float64.

    No scale is below 2^-8 of the largest: the bias of a pruned channel must fit in 32 bits as a multiple of its scale.
    """
    values = weight.detach().double()
    scale = values.abs().amax(dim=1) / LARGEST
    scale = scale.clamp_min(float(scale.max()) / SPREAD or _SCALE_OF_ZEROS)
    return torch.round(values / scale[:, None]).to(torch.int8), scale


class IntegerNorm(nn.Module):
    """`i_normalize`, then gamma, beta and the change of scale as one integer product, one sum and one shift.

    Buffers: `weight` int32 [width], `bias` int64 [width] in steps of 2^-shift, `shift` int64 [] and `epsilon`
    int64 []. Raises `MethodError` for a width above 4096.
    """

    weight: Tensor
    bias: Tensor
    shift: Tensor
    epsilon: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        if width > WIDEST:
            raise MethodError(f"integer: a layer norm of width {width}; its sums have room for at most {WIDEST}")
        self.register_buffer("weight", torch.zeros(width, dtype=torch.int32))
        self.register_buffer("bias", torch.zeros(width, dtype=torch.int64))
        self.register_buffer("shift", torch.ones((), dtype=torch.int64))
        self.register_buffer("epsilon", torch.zeros((), dtype=torch.int64))

    def set(self, norm: nn.LayerNorm, *, given: float, wanted: float) -> None:
        """Do what `norm` does, from inputs of scale `given` to outputs of scale `wanted`."""
        width = norm.normalized_shape[0]
        gamma = norm.weight.detach().double()
        ratios = gamma * math.sqrt(width) / 2**NORMALIZED_BITS / wanted
        self.weight, self.shift = dyadic(ratios, most_shift=_MOST_NORM_SHIFT)
        beta = torch.zeros_like(gamma) if norm.bias is None else norm.bias.detach().double()
        steps = (beta / wanted).clamp(-_MOST_NORM_BIAS, _MOST_NORM_BIAS)
        self.bias = torch.round(steps * 2.0 ** int(self.shift)).long()
        epsilon = min(round(width * norm.eps / given**2), 2**61)
        self.epsilon = torch.tensor(epsilon, dtype=torch.int64, device=gamma.device)

    def forward(self, inputs: Tensor) -> Tensor:
        """Integers of at most 25 bits [..., width] to int8."""
        affine = i_normalize(inputs, self.epsilon) * self.weight + self.bias
        return half_up(affine, self.shift).clamp(-LARGEST, LARGEST).to(torch.int8)
