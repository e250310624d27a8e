"""The integer matrix product: 8-bit operands, 32-bit sums, on CPU and CUDA."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

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
    """The operator, defined once a process; composite, so that a dispatch mode sees what is inside."""
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
