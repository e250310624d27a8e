"""Integer arithmetic: products with dyadic numbers, the matrix product, and functions of scaled integers.

A dyadic number is b / 2^c: a real factor is one integer product and one shift.

Exponential, softmax, GELU, square root and layer norm are of integers that stand for scaled real numbers.
An integer q with scale S stands for q * S. Every function takes and gives integer tensors; its constants are integers
that were made of the scale beforehand, in a list or in an int64 tensor. Kim et al. 2021, arXiv:2101.01321, §3.4-3.6:
a polynomial a (x + b)^2 + c is (q + q_b)^2 + q_c with q_b = floor(b / S), q_c = floor(c / (a S^2)) and scale a S^2.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError

MULTIPLIER_BITS = 31
MOST_SHIFT = 62  # of an int64 that keeps its sign


class Dyadic(NamedTuple):
    """b int32 [channels] and c int64 [], for the numbers b / 2^c."""

    multiplier: Tensor
    shift: Tensor


def dyadic(ratios: Tensor, *, most_shift: int = MOST_SHIFT) -> Dyadic:
    """The nearest b / 2^c of each ratio [channels], with |b| < 2^31 and one c, the largest that all of them allow.

    The largest ratio has 31 significant bits, one that is 2^k smaller has k bits fewer. Differs from the code of
    I-BERT (`batch_frexp`), where every channel has a c of its own. Raises `MethodError` for ratios that are not
    finite or 2^30 and more.
    """
    largest = float(ratios.abs().max())
    if not largest < 2.0 ** (MULTIPLIER_BITS - 1):
        raise MethodError(
            f"integer: two scales differ by a factor of {largest:g}, which does not fit an integer multiplier"
        )
    exponent = math.frexp(largest)[1]  # largest = m * 2^exponent with m in [1/2, 1)
    shift = max(1, min(most_shift, MULTIPLIER_BITS - exponent))
    limit = 2**MULTIPLIER_BITS - 1
    multiplier = torch.round(ratios.double() * 2.0**shift).clamp(-limit, limit).to(torch.int32)
    return Dyadic(multiplier, torch.tensor(shift, device=ratios.device))


def requantize(values: Tensor, multiplier: Tensor, shift: Tensor, *, limit: int) -> Tensor:
    """values * b / 2^c rounded to the nearest integer, halves up, and clipped to [-limit, limit]; int64.

    `values` are of at most 32 bits: the product with 31 bits then fits in 63.
    """
    return half_up(values.long() * multiplier, shift).clamp(-limit, limit)


def half_up(values: Tensor, shift: Tensor | int) -> Tensor:
    """floor(values / 2^shift + 1/2) for shift >= 1, without the sum that could overflow."""
    return ((values >> (shift - 1)) + 1) >> 1


class Requantize(nn.Module):
    """Dyadic requantization as a module: buffers `multiplier` int32 [channels] and `shift` int64 []."""

    multiplier: Tensor
    shift: Tensor

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.register_buffer("multiplier", torch.zeros(channels, dtype=torch.int32))
        self.register_buffer("shift", torch.ones((), dtype=torch.int64))

    def set(self, ratios: Tensor) -> None:
        """Multiply by `ratios` [channels] from now on, the scale of the inputs over the scale of the outputs."""
        self.multiplier, self.shift = dyadic(ratios)

    @override
    def forward(self, values: Tensor, *, limit: int) -> Tensor:
        return requantize(values, self.multiplier, self.shift, limit=limit)


OPERATOR = "bench::integer_matmul"
_HALF = 128  # what brings uint8 into the range of int8


def integer_matmul(left: Tensor, right: Tensor) -> Tensor:
    """int32 product of `left` int8 or uint8 [..., n, k] and `right` int8 [..., k, m] or [k, m].

    Sums are exact for k up to 2^16. It is one operator of its own, so that a tracer meets operands of 8 bits: torch's
    CPU product takes both as int32 (`torch._int_mm` was 10 times slower without VNNI instructions), CUDA takes 8 bits.
    """
    return _operator()(left, right)


@functools.cache
def _operator() -> Callable[[Tensor, Tensor], Tensor]:
    """The operator, defined once per process; composite, so that a dispatch mode sees what is inside."""
    torch.library.define(OPERATOR, "(Tensor left, Tensor right) -> Tensor")
    torch.library.impl(OPERATOR, "CompositeImplicitAutograd", _product)
    operator: Callable[[Tensor, Tensor], Tensor] = torch.ops.bench.integer_matmul
    return operator


def _product(left: Tensor, right: Tensor) -> Tensor:
    return _on_cuda(left, right) if left.is_cuda else torch.matmul(left.int(), right.int())


def _on_cuda(left: Tensor, right: Tensor) -> Tensor:
    """One `torch._int_mm` a matrix of `right`; unsigned operands are moved down by 128 and what that took is added."""
    if left.dtype == torch.uint8:
        taken = _HALF * right.sum(-2, keepdim=True, dtype=torch.int32)
        return _on_cuda((left.short() - _HALF).to(torch.int8), right) + taken
    if right.dim() == 2:
        return _int_mm(left.reshape(-1, left.shape[-1]), right).reshape(*left.shape[:-1], right.shape[-1])
    pairs = zip(left.flatten(0, -3), right.flatten(0, -3), strict=True)
    return torch.stack([_int_mm(*pair) for pair in pairs]).reshape(*left.shape[:-1], right.shape[-1])


def _int_mm(left: Tensor, right: Tensor) -> Tensor:
    """`torch._int_mm` of [n, k] and [k, m], which wants more than 16 rows and other sides that 8 divides."""
    (rows, inner), columns = left.shape, right.shape[1]
    left = functional.pad(left, (0, -inner % 8, 0, max(0, 17 - rows)))
    right = functional.pad(right.t(), (0, -inner % 8, 0, -columns % 8))
    return torch._int_mm(left.contiguous(), right.contiguous().t())[:rows, :columns]


Constants = Sequence[int] | Tensor

# 0.3585 (p + 1.353)^2 + 0.344 is e^p on (-ln 2, 0] and -0.2888 (x - 1.769)^2 + 1 is erf(x) on [0, 1.769].
_EXP = (0.3585, 1.353, 0.344)
_ERF = (-0.2888, -1.769)
MOST_HALVINGS = 31  # an exponential of 26 bits is 0 by then
WEIGHTS = 255  # what an attention weight of 1 is: eight bits without a sign
GELU_DROPPED_BITS = 16  # of a product of 47 bits, so that 32 are left
NORMALIZED_BITS = 20
_RECIPROCAL_BITS = 60
_NEWTON_STEPS = 7  # six from a start of less than twice the root reach 62 bits


def exp_constants(scale: float) -> tuple[int, int, int]:
    """floor(ln 2 / S), q_b and q_c of `i_exp`."""
    a, b, c = _EXP
    return math.floor(math.log(2) / scale), math.floor(b / scale), math.floor(c / (a * scale**2))


def exp_scale(scale: float) -> float:
    """The scale of what `i_exp` gives for inputs of `scale`."""
    return _EXP[0] * scale * scale


def i_exp(values: Tensor, constants: Constants) -> Tensor:
    """e^x for x <= 0 as x = p - z ln 2 with p in (-ln 2, 0]: a polynomial of p, shifted right by z; int64.

    With S = 2^-12 the polynomial has 26 bits; it must have fewer than 63, so S is above 10^-9. As in the paper and
    unlike its code, which first shifts left by 30 bits. Largest error 2.13e-3, that of the polynomial.
    """
    ln2, b, c = constants
    halvings = -values.long() // ln2
    rest = values + halvings * ln2
    return ((rest + b) ** 2 + c) >> halvings.clamp(max=MOST_HALVINGS)


def i_softmax(scores: Tensor, seen: Tensor | None, constants: Constants) -> Tensor:
    """Softmax over the last axis, uint8 in steps of 1/255; places where `seen` (bool) is False get 0.

    Exponentials of 26 bits are summed in int64; the quotient is exact and rounded to the nearest step, where the
    public code multiplies by a rounded-down reciprocal and drops the rest. A row in which nothing is seen is 0.
    """
    if seen is not None:
        scores = scores.masked_fill(~seen, torch.iinfo(torch.int32).min)
    powers = i_exp(scores - scores.amax(dim=-1, keepdim=True), constants)
    if seen is not None:
        powers = powers.masked_fill(~seen, 0)
    total = powers.sum(dim=-1, keepdim=True).clamp(min=1)
    return ((powers * WEIGHTS + total // 2) // total).to(torch.uint8)


def gelu_constants(scale: float) -> tuple[int, int]:
    """q_b and q_c of erf(x / sqrt 2) for `i_gelu`; its q_c is also what 1 is in the scale of that erf."""
    a, b = _ERF
    inner = scale / math.sqrt(2)
    return math.floor(b / inner), math.floor(1 / (a * inner**2))


def gelu_scale(scale: float) -> float:
    """The scale of what `i_gelu` gives for inputs of `scale`; negative, as the polynomial's leading coefficient is."""
    return scale * (_ERF[0] * scale * scale / 2) / 2 * (1 << GELU_DROPPED_BITS)


def i_gelu(values: Tensor, constants: Constants) -> Tensor:
    """x (1 + erf(x / sqrt 2)) / 2 with erf(x) = sgn(x) [a (min(|x|, -b) + b)^2 + 1]; int64 of at most 32 bits.

    With S = 2^-12 and inputs of 20 bits with their sign, |x| <= 128: a polynomial of 28 bits, a product of 48, of
    which the last 16 are rounded off. Largest error on [-4, 4] 0.0182.
    """
    b, c = constants
    wide = values.long()
    polynomial = (wide.abs().clamp(max=-b) + b) ** 2 + c
    return half_up(wide * (wide.sign() * polynomial + c), GELU_DROPPED_BITS)


def i_sqrt(values: Tensor) -> Tensor:
    """floor(sqrt(n)) of 0 <= n < 2^62, int64, by Newton's x <- floor((x + floor(n / x)) / 2) from above the root.

    It starts at 2^ceil(bits / 2), as in the paper, and runs a fixed number of steps: from the root on, which it
    reaches within six, a step would go up, and is not taken.
    """
    bits, rest = torch.zeros_like(values), values
    for step in (32, 16, 8, 4, 2, 1):
        more = (rest >> step) > 0
        bits, rest = bits + step * more, torch.where(more, rest >> step, rest)
    root = torch.ones_like(values) << ((bits + 2) >> 1)  # bits is one less than the number of bits
    for _ in range(_NEWTON_STEPS):
        root = torch.minimum(root, (root + values // root.clamp(min=1)) >> 1)
    return root


def i_normalize(values: Tensor, epsilon: Tensor | int) -> Tensor:
    """(x - mean) / (std sqrt(width)) over the last axis in steps of 2^-20, int64; `epsilon` is width * eps / S^2.

    For |x| < 2^25 and widths of at most 4096: squares have 52 bits with the mean taken off, their sum 62 if all
    positions agree in size; 1 / std has 60 bits, and so has its product with x. The public code leaves eps out and
    has a reciprocal of 31 bits.
    """
    width = values.shape[-1]
    total = values.long().sum(dim=-1, keepdim=True)
    centred = values - (2 * total + width) // (2 * width)
    spread = i_sqrt((centred * centred).sum(dim=-1, keepdim=True) + epsilon).clamp(min=1)
    return half_up(centred * (2**_RECIPROCAL_BITS // spread), _RECIPROCAL_BITS - NORMALIZED_BITS)
