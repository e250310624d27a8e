"""Linear layers and embeddings whose weight is the sum of two matrices, each of which is trained."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.layers.layer import LAYER_KINDS, StoredEmbedding, StoredLayer


@LAYER_KINDS.register("summed-linear")
class SummedLinear(StoredLayer):
    """y = (A + B) x + bias: what ternary weight splitting trains (Bai et al. 2021, arXiv:2012.15701).

    Args:
        in_features: width of the input.
        out_features: width of the output.
        bias: whether a bias [out_features] is added.

    `first` and `second` are A and B [out_features, in_features].
    """

    kind: ClassVar[str] = "summed-linear"
    bias: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.first = nn.Parameter(torch.zeros(out_features, in_features))
        self.second = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    @classmethod
    def of(cls, first: nn.Parameter, second: nn.Parameter, bias: Tensor | None) -> SummedLinear:
        """The layer that holds the parameters `first` and `second` [out, in] themselves, and a copy of a bias [out]."""
        made = cls(first.shape[1], first.shape[0], bias is not None)
        made.first, made.second = first, second
        made.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        return made

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs, self.dense(), self.bias)

    @override
    def dense(self) -> Tensor:
        return self.first + self.second

    @override
    def arguments(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}

    def macs(self, rows: int) -> int:
        """rows * in * out: the matrices are added before they are multiplied."""
        return rows * self.in_features * self.out_features


@LAYER_KINDS.register("summed-embedding")
class SummedEmbedding(StoredEmbedding):
    """e = A[id] + B[id].

    Args:
        num_embeddings: rows.
        embedding_dim: width of a row.
        padding_idx: the id whose rows get no gradient, or None.

    `first` and `second` are A and B [num_embeddings, embedding_dim].
    """

    kind: ClassVar[str] = "summed-embedding"

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.first = nn.Parameter(torch.zeros(num_embeddings, embedding_dim))
        self.second = nn.Parameter(torch.zeros(num_embeddings, embedding_dim))

    @classmethod
    def of(cls, first: nn.Parameter, second: nn.Parameter, *, padding_idx: int | None) -> SummedEmbedding:
        """The embedding that holds the parameters `first` and `second` [rows, width] themselves."""
        made = cls(first.shape[0], first.shape[1], padding_idx)
        made.first, made.second = first, second
        return made

    @override
    def forward(self, ids: Tensor) -> Tensor:
        return self._looked_up(ids, self.first) + self._looked_up(ids, self.second)

    @override
    def dense(self) -> Tensor:
        return self.first + self.second

    @override
    def arguments(self) -> dict[str, Any]:
        return {
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "padding_idx": self.padding_idx,
        }

    def _looked_up(self, ids: Tensor, table: Tensor) -> Tensor:
        return functional.embedding(ids, table, self.padding_idx)
