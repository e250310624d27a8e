"""A factorized word embedding whose narrow table and widening matrix stay packed in a few bits."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from bench.layers.layer import LAYER_KINDS, StoredModule
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.layers.low_bit_factorized import LowBitFactorizedLinear


@LAYER_KINDS.register("low-bit-factorized-embedding")
class LowBitFactorizedEmbedding(StoredModule):
    """e = projection table[id], both packed, each with a coding of its own; only rows looked up become floats.

    Args:
        table: arguments of the table [V, E] as a `LowBitEmbedding`.
        projection: arguments of the matrix [H, E] as a `LowBitLinear`, without a bias.
    """

    kind: ClassVar[str] = "low-bit-factorized-embedding"

    def __init__(self, table: dict[str, Any], projection: dict[str, Any]) -> None:
        super().__init__()
        self.table = LowBitEmbedding(**table)
        self.projection = LowBitLinear(**projection)
        self.num_embeddings = self.table.num_embeddings
        self.embedding_dim = self.projection.out_features

    @classmethod
    def from_parts(cls, table: LowBitEmbedding, projection: LowBitLinear) -> LowBitFactorizedEmbedding:
        """The embedding of these two, which it keeps."""
        made = cls(table.arguments(), projection.arguments())
        made.table, made.projection = table, projection
        return made

    @property
    def weight_bits(self) -> int:
        """Bits of the wider part's weights."""
        return max(self.table.coding.bits, self.projection.weight_bits)

    def softmax(self, narrowing: LowBitLinear, bias: Tensor | None) -> LowBitFactorizedLinear:
        """The tied output layer: `narrowing` [E, H], then this table's own buffers, with a copy of `bias`."""
        return LowBitFactorizedLinear.from_layers(narrowing, self.table.softmax(bias))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [...] to float32 [..., H]."""
        widened: Tensor = self.projection(self.table(ids))
        return widened

    def dequantized(self) -> Tensor:
        """The whole float32 table [V, H] that both parts stand for, for measures and tests."""
        return self.table.dequantized() @ self.projection.dequantized().t()

    def arguments(self) -> dict[str, Any]:
        """The arguments of both parts."""
        return {"table": self.table.arguments(), "projection": self.projection.arguments()}

    def macs(self, tokens: int) -> int:
        """tokens * E * H, as for the float form: a look-up costs nothing, widening its row does."""
        return self.projection.macs(tokens)
