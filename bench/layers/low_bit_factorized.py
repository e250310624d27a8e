"""A factorized linear layer whose two factors stay packed in a few bits."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from bench.layers.layer import LAYER_KINDS, StoredLayer
from bench.layers.low_bit import LowBitLinear


@LAYER_KINDS.register("low-bit-factorized-linear")
class LowBitFactorizedLinear(StoredLayer):
    """y = second (first x) + bias with both factors as `LowBitLinear`, each with a coding of its own.

    Args:
        first: arguments of the factor [rank, in_features], which has no bias.
        second: arguments of the factor [out_features, rank].
    """

    kind: ClassVar[str] = "low-bit-factorized-linear"
    activation_bits: ClassVar[int] = 32

    def __init__(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        super().__init__()
        self.first = LowBitLinear(**first)
        self.second = LowBitLinear(**second)
        self.in_features = self.first.in_features
        self.out_features = self.second.out_features

    @classmethod
    def from_layers(cls, first: LowBitLinear, second: LowBitLinear) -> LowBitFactorizedLinear:
        """The layer of these two, which it keeps."""
        made = cls(first.arguments(), second.arguments())
        made.first, made.second = first, second
        return made

    @property
    def weight_bits(self) -> int:  # type: ignore[override]
        """Bits of the wider factor's weights."""
        return max(self.first.weight_bits, self.second.weight_bits)

    @property
    def kernel(self) -> str:
        """What runs: float arithmetic on every device."""
        return self.first.kernel

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features], in the dtype of `inputs`."""
        outputs: Tensor = self.second(self.first(inputs))
        return outputs

    def multiplied(self) -> tuple[Tensor, ...]:
        """Both factors as the floats that they stand for."""
        return (self.first.dequantized(), self.second.dequantized())

    def arguments(self) -> dict[str, Any]:
        """The arguments of both factors."""
        return {"first": self.first.arguments(), "second": self.second.arguments()}

    def macs(self, rows: int) -> int:
        """rows * rank * (in + out), as for the float factors."""
        return self.first.macs(rows) + self.second.macs(rows)
