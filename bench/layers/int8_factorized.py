"""A factorized linear layer whose two factors are stored as int8 and run on an integer kernel."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import DEQUANTIZED, Int8Linear
from bench.layers.layer import LAYER_KINDS, StoredLayer


@LAYER_KINDS.register("int8-factorized-linear")
class Int8FactorizedLinear(StoredLayer):
    """y = second (first x) + bias with both factors as `Int8Linear`: two integer products with a float between them.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        rank: width between the two factors.
        bias: whether the second factor adds a bias [out_features].
    """

    kind: ClassVar[str] = "int8-factorized-linear"
    weight_bits: ClassVar[int] = 8
    activation_bits: ClassVar[int] = 8

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.rank = rank
        self.first = Int8Linear(in_features, rank, bias=False)
        self.second = Int8Linear(rank, out_features, bias=bias)

    @classmethod
    def from_factorized(cls, layer: FactorizedLinear) -> Int8FactorizedLinear:
        """Both factors of `layer` rounded, each output channel of each with a scale of its own."""
        made = cls(layer.in_features, layer.out_features, layer.rank, layer.bias is not None)
        made.first = Int8Linear.from_float(layer.first, None)
        made.second = Int8Linear.from_float(layer.second, layer.bias)
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features], in the dtype of `inputs`."""
        outputs: Tensor = self.second(self.first(inputs))
        return outputs

    @property
    def kernel(self) -> str:
        """What runs where the layer is now, see `Int8Linear`; `dequantized` as soon as one factor is."""
        kernels = (self.first.kernel, self.second.kernel)
        return DEQUANTIZED if DEQUANTIZED in kernels else kernels[0]

    def arguments(self) -> dict[str, Any]:
        """Widths, rank and whether there is a bias."""
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "rank": self.rank,
            "bias": self.second.bias is not None,
        }

    def macs(self, rows: int) -> int:
        """rows * rank * (in + out), as for the float factors: only the operands are narrower."""
        return self.first.macs(rows) + self.second.macs(rows)
