"""Linear layers and embeddings whose weight is the sum of two matrices that stay packed in a few bits."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.layers.input_rounding import InputRounding
from bench.layers.layer import LAYER_KINDS, StoredLayer, StoredModule
from bench.layers.low_bit import FLOAT_BITS, LowBitEmbedding, LowBitLinear, decoded, tiled_product


@LAYER_KINDS.register("low-bit-summed-linear")
class LowBitSummedLinear(StoredLayer):
    """y = (A + B) x + bias with A and B packed as in `LowBitLinear`, each with a coding of its own.

    A block of output rows of both is turned into floats and added before it is multiplied, so that one float product
    is executed, and counted, where a machine for binary numbers would do two in binary. Bytes are saved, no time.

    Args:
        first: arguments of A as a `LowBitLinear`, without a bias.
        second: the same of B, which holds the bias.
        inputs: arguments of the `InputRounding` of x; None leaves it as it comes.
    """

    kind: ClassVar[str] = "low-bit-summed-linear"

    def __init__(self, first: dict[str, Any], second: dict[str, Any], inputs: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.first = LowBitLinear(**first)
        self.second = LowBitLinear(**second)
        self.inputs = None if inputs is None else InputRounding(**inputs)
        self.in_features = self.second.in_features
        self.out_features = self.second.out_features

    @classmethod
    def from_layers(
        cls, first: LowBitLinear, second: LowBitLinear, inputs: InputRounding | None = None
    ) -> LowBitSummedLinear:
        """The layer of these two and the rounding of their common input, all of which it keeps."""
        made = cls(first.arguments(), second.arguments(), None if inputs is None else inputs.arguments())
        made.first, made.second, made.inputs = first, second, inputs
        return made

    @property
    def weight_bits(self) -> int:  # type: ignore[override]
        """Bits of the wider matrix's weights."""
        return max(self.first.weight_bits, self.second.weight_bits)

    @property
    def activation_bits(self) -> int:  # type: ignore[override]
        """Bits of one input that is multiplied; a float's where none is rounded."""
        return FLOAT_BITS if self.inputs is None else self.inputs.bits

    @property
    def kernel(self) -> str:
        """What runs: float arithmetic on every device."""
        return self.first.kernel

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features], in the dtype of `inputs`."""
        values = inputs.float()
        if self.inputs is not None:
            values = self.inputs(values)
        return tiled_product(values, self._rows, self.out_features, self.second.bias).to(inputs.dtype)

    def dequantized(self) -> Tensor:
        """The whole float32 weight [out_features, in_features] that is multiplied, for measures and tests."""
        return self._rows(torch.arange(self.out_features, device=self.first.weight.device))

    def arguments(self) -> dict[str, Any]:
        """The arguments of both matrices, and of the rounding where there is one."""
        both = {"first": self.first.arguments(), "second": self.second.arguments()}
        return both if self.inputs is None else {**both, "inputs": self.inputs.arguments()}

    def macs(self, rows: int) -> int:
        """rows * in * out: the matrices are added before they are multiplied."""
        return rows * self.in_features * self.out_features

    def _rows(self, rows: Tensor) -> Tensor:
        first = decoded(self.first, self.first.coding, rows)
        return first.add_(decoded(self.second, self.second.coding, rows))


@LAYER_KINDS.register("low-bit-summed-embedding")
class LowBitSummedEmbedding(StoredModule):
    """e = A[id] + B[id] with A and B packed as in `LowBitEmbedding`; only rows that are looked up become floats.

    Args:
        first: arguments of A as a `LowBitEmbedding`.
        second: the same of B.
    """

    kind: ClassVar[str] = "low-bit-summed-embedding"

    def __init__(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        super().__init__()
        self.first = LowBitEmbedding(**first)
        self.second = LowBitEmbedding(**second)
        self.num_embeddings = self.first.num_embeddings
        self.embedding_dim = self.first.embedding_dim

    @classmethod
    def from_tables(cls, first: LowBitEmbedding, second: LowBitEmbedding) -> LowBitSummedEmbedding:
        """The embedding of these two, which it keeps."""
        made = cls(first.arguments(), second.arguments())
        made.first, made.second = first, second
        return made

    def softmax(self, bias: Tensor | None, inputs: InputRounding | None = None) -> LowBitSummedLinear:
        """The tied output layer: it holds these tables' own buffers, and a copy of `bias`."""
        return LowBitSummedLinear.from_layers(self.first.softmax(None), self.second.softmax(bias), inputs)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [...] to float32 [..., embedding_dim]."""
        first: Tensor = self.first(ids)
        return first.add_(self.second(ids))

    def dequantized(self) -> Tensor:
        """The whole float32 table that is looked up, for measures and tests."""
        return self.first.dequantized() + self.second.dequantized()

    def arguments(self) -> dict[str, Any]:
        """The arguments of both tables."""
        return {"first": self.first.arguments(), "second": self.second.arguments()}
