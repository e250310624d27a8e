"""A word embedding stored as a narrow table and one matrix that widens its rows."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.base.errors import MethodError
from bench.layers.layer import LAYER_KINDS, StoredModule


@LAYER_KINDS.register("factorized-embedding")
class FactorizedEmbedding(StoredModule):
    """e = projection table[id]: V E + E H weights instead of V H (Lan et al. 2020, arXiv:1909.11942, §3.1).

    No bias is added: the product stands for the table that it replaces, so that it is exact at full width. (The
    transformers port of ALBERT has a bias there, the paper writes a plain product.)

    Args:
        num_embeddings: entries of the vocabulary, V.
        embedding_dim: width of what is given, H, as the embedding that was there.
        rank: width of the table, E.
        padding_idx: the id whose row gets no gradient, or None.

    `table.weight` is [V, E] and may be tied to an output layer, `projection.weight` is [H, E].
    """

    kind: ClassVar[str] = "factorized-embedding"

    def __init__(self, num_embeddings: int, embedding_dim: int, rank: int, padding_idx: int | None = None) -> None:
        super().__init__()
        if rank < 1:
            raise MethodError(f"rank {rank}: a factorized embedding needs a rank of at least 1")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.rank = rank
        self.table = nn.Embedding(num_embeddings, rank, padding_idx=padding_idx)
        self.projection = nn.Linear(rank, embedding_dim, bias=False)

    @classmethod
    def from_factors(cls, table: Tensor, projection: Tensor, *, padding_idx: int | None) -> FactorizedEmbedding:
        """The embedding of `table` [V, E] and `projection` [E, H], both copied."""
        made = cls(table.shape[0], projection.shape[1], table.shape[1], padding_idx)
        made.table.weight = nn.Parameter(table.detach().clone().contiguous())
        made.projection.weight = nn.Parameter(projection.detach().t().clone().contiguous())
        return made

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [...] to [..., H]."""
        return functional.linear(self.table(ids), self.projection.weight)

    def product(self) -> Tensor:
        """The dense table [V, H] that the two factors stand for."""
        return self.table.weight @ self.projection.weight.t()

    def arguments(self) -> dict[str, Any]:
        """Sizes, rank and the padding id."""
        return {
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "rank": self.rank,
            "padding_idx": self.padding_idx,
        }

    def macs(self, tokens: int) -> int:
        """tokens * E * H: a look-up costs nothing, widening its row does."""
        return tokens * self.rank * self.embedding_dim

    def extra_repr(self) -> str:
        """What `print(model)` shows of the module."""
        return f"{self.num_embeddings}, {self.embedding_dim}, rank={self.rank}"


def table_of(module: nn.Module) -> Tensor | None:
    """The vocabulary's table of any form of embedding, [V, width]; None for a module that is no embedding."""
    inner = module if isinstance(module, nn.Embedding) else getattr(module, "table", None)
    return inner.weight if isinstance(inner, nn.Embedding) and isinstance(inner.weight, torch.Tensor) else None
