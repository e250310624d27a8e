"""Linear layers and word embeddings stored and run as the product of two thin float matrices, and their SVD."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.layer import LAYER_KINDS, Factors, StoredEmbedding, StoredLayer


@LAYER_KINDS.register("factorized-linear")
class FactorizedLinear(StoredLayer):
    """y = second (first x) + bias, so rank * (in + out) weights and multiply-adds per row instead of in * out.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        rank: width between the two matrices, at least 1.
        bias: whether a bias [out_features] is added.

    `first` is [rank, in_features], `second` [out_features, rank]; all parameters are zero until they are filled.
    Raises `MethodError` for a rank below 1.
    """

    kind: ClassVar[str] = "factorized-linear"

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

        Raises `MethodError` if the inner widths differ.
        """
        if first.shape[0] != second.shape[1]:
            raise MethodError(f"factors {tuple(second.shape)} and {tuple(first.shape)} cannot be multiplied")
        layer = cls(first.shape[1], second.shape[0], first.shape[0], bias is not None)
        layer.first = nn.Parameter(first.detach().clone().contiguous())
        layer.second = nn.Parameter(second.detach().clone().contiguous())
        layer.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        return layer

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return functional.linear(functional.linear(inputs, self.first), self.second, self.bias)

    @override
    def dense(self) -> Tensor:
        return self.second @ self.first

    @override
    def factors(self) -> Factors:
        return Factors(self.second, self.first, self.bias)

    @override
    def multiplied(self) -> tuple[Tensor, ...]:
        return (self.first, self.second)

    @override
    def arguments(self) -> dict[str, Any]:
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "rank": self.rank,
            "bias": self.bias is not None,
        }

    def macs(self, rows: int) -> int:
        """rows * rank * (in + out)."""
        return rows * self.rank * (self.in_features + self.out_features)

    @override
    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}"


@LAYER_KINDS.register("factorized-embedding")
class FactorizedEmbedding(StoredEmbedding):
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

    @override
    def forward(self, ids: Tensor) -> Tensor:
        return functional.linear(self.table(ids), self.projection.weight)

    @override
    def dense(self) -> Tensor:
        return self.table.weight @ self.projection.weight.t()

    @override
    def arguments(self) -> dict[str, Any]:
        return {
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "rank": self.rank,
            "padding_idx": self.padding_idx,
        }

    def macs(self, tokens: int) -> int:
        """tokens * E * H: a look-up costs nothing, widening its row does."""
        return tokens * self.rank * self.embedding_dim

    @override
    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, rank={self.rank}"


def table_of(module: nn.Module) -> Tensor | None:
    """The vocabulary's table of any form of embedding, [V, width]; None for a module that is not an embedding."""
    inner = module if isinstance(module, nn.Embedding) else getattr(module, "table", None)
    return inner.weight if isinstance(inner, nn.Embedding) and isinstance(inner.weight, torch.Tensor) else None


class Decomposition(NamedTuple):
    """U [m, k], S [k] in falling order and V^T [k, n] of a matrix [m, n], k = min(m, n)."""

    left: Tensor
    values: Tensor
    right: Tensor


def decompose(weight: Tensor) -> Decomposition:
    """The singular value decomposition of `weight` [m, n], computed in float64."""
    return Decomposition(*torch.linalg.svd(weight.detach().double(), full_matrices=False))


def truncated(parts: Decomposition, rank: int) -> tuple[Tensor, Tensor]:
    """The two factors of the best approximation of rank `rank` in Frobenius norm (Eckart & Young 1936), float64.

    Returns (U_r S_r^(1/2)) [m, rank] and (S_r^(1/2) V_r^T) [rank, n]: the roots are split so that both have one scale.
    """
    root = parts.values[:rank].sqrt()
    return parts.left[:, :rank] * root, root[:, None] * parts.right[:rank]


def rank_for_energy(values: Tensor, energy: float) -> int:
    """The smallest r whose first r squared singular values hold at least the share `energy` of their sum."""
    held = values.square().cumsum(0)
    reached = held >= energy * held[-1]
    return int(reached.int().argmax()) + 1
