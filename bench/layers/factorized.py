"""A linear layer stored and run as the product of two thin matrices."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.base.errors import MethodError
from bench.layers.layer import LAYER_KINDS, StoredLayer


@LAYER_KINDS.register("factorized-linear")
class FactorizedLinear(StoredLayer):
    """y = second (first x) + bias, so rank * (in + out) weights and multiply-adds a row instead of in * out.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        rank: width between the two matrices, at least 1.
        bias: whether a bias [out_features] is added.

    `first` is [rank, in_features], `second` [out_features, rank]; all parameters are zero until they are filled.
    Raises `MethodError` for a rank below 1.
    """

    kind: ClassVar[str] = "factorized-linear"
    weight_bits: ClassVar[int] = 32
    activation_bits: ClassVar[int] = 32

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__()
        if rank < 1:
            raise MethodError(f"rank {rank}: a factorized layer needs a rank of at least 1")
        self.in_features = in_features
        self.out_features = out_features
        self.rank = rank
        self.first = nn.Parameter(torch.zeros(rank, in_features))
        self.second = nn.Parameter(torch.zeros(out_features, rank))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    @classmethod
    def from_factors(cls, first: Tensor, second: Tensor, bias: Tensor | None) -> FactorizedLinear:
        """The layer of `first` [rank, in], `second` [out, rank] and `bias` [out] or None, all copied.

        Raises `MethodError` where the inner widths differ.
        """
        if first.shape[0] != second.shape[1]:
            raise MethodError(f"factors {tuple(second.shape)} and {tuple(first.shape)} do not multiply")
        layer = cls(first.shape[1], second.shape[0], first.shape[0], bias is not None)
        layer.first = nn.Parameter(first.detach().clone().contiguous())
        layer.second = nn.Parameter(second.detach().clone().contiguous())
        layer.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        return layer

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        return functional.linear(functional.linear(inputs, self.first), self.second, self.bias)

    def product(self) -> Tensor:
        """The dense weight [out_features, in_features] that the two factors stand for."""
        return self.second @ self.first

    def arguments(self) -> dict[str, Any]:
        """Widths, rank and whether there is a bias."""
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "rank": self.rank,
            "bias": self.bias is not None,
        }

    def macs(self, rows: int) -> int:
        """rows * rank * (in + out)."""
        return rows * self.rank * (self.in_features + self.out_features)

    def extra_repr(self) -> str:
        """What `print(model)` shows of the layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}"
