"""A narrow word embedding widened by a small Transformer layer: self-attentive factorized embeddings."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.layer import LAYER_KINDS, StoredModule

_LONGEST_WAVE = 10_000.0


@LAYER_KINDS.register("safe-embedding")
class SafeEmbedding(StoredModule):
    """SAFE (Reid et al. 2021, arXiv:2101.00234, §3.2): a table [V, r] and one Transformer layer of width r.

    Its feed-forward part goes r -> r -> d, so that the second matrix widens; norms come after, the last one on d, and
    there is no residual around the widening unless r = d (machelreid/subformer, fairseq/modules/subformer_layer.py).
    Rows are scaled by sqrt(r) and sinusoidal positions of width r are added. Left out: the element-wise vectors around
    each product that the authors' code has and their paper does not describe.

    A row depends on the words around it, so the whole sequence must be given: a decoder with it cannot be given its
    last word alone, as with a cache of keys and values. `reads_whole_text` says so to whoever decodes.

    Args:
        num_embeddings: entries of the vocabulary, V.
        embedding_dim: width of what is given, d.
        rank: width of the table and the layer, r.
        heads: attention heads, a divisor of r.
        causal: whether a row sees no later word, for a decoder.
        padding_idx: the id that the others do not see (without `causal`), or None.
    """

    kind: ClassVar[str] = "safe-embedding"

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        rank: int,
        heads: int = 1,
        causal: bool = False,
        padding_idx: int | None = None,
    ) -> None:
        super().__init__()
        if rank < 1 or rank % heads:
            raise MethodError(
                f"rank {rank}: a self-attentive embedding needs a rank that is a multiple of its {heads} heads"
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.rank = rank
        self.heads = heads
        self.causal = causal
        self.reads_whole_text = causal
        self.padding_idx = padding_idx
        self.table = nn.Embedding(num_embeddings, rank, padding_idx=padding_idx)
        self.query = nn.Linear(rank, rank)
        self.key = nn.Linear(rank, rank)
        self.value = nn.Linear(rank, rank)
        self.attention_output = nn.Linear(rank, rank)
        self.attention_norm = nn.LayerNorm(rank)
        self.ffn_in = nn.Linear(rank, rank)
        self.ffn_out = nn.Linear(rank, embedding_dim)
        self.final_norm = nn.LayerNorm(embedding_dim)

    def reset(self) -> None:
        """Fresh weights from torch's global generator: table rows from N(0, 1 / d), the padding's row zero."""
        nn.init.normal_(self.table.weight, std=self.embedding_dim**-0.5)
        if self.padding_idx is not None:
            nn.init.zeros_(self.table.weight[self.padding_idx])
        for linear in (self.query, self.key, self.value, self.attention_output, self.ffn_in, self.ffn_out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [batch, length] to [batch, length, d]."""
        narrow = self.table(ids) * math.sqrt(self.rank)
        narrow = narrow + _positions(ids.shape[-1], self.rank, like=narrow)
        narrow = self.attention_norm(narrow + self._attended(narrow, self._hidden(ids)))
        wide = self.ffn_out(functional.relu(self.ffn_in(narrow)))
        return self.final_norm(wide + narrow if self.rank == self.embedding_dim else wide)  # type: ignore[no-any-return]

    def _attended(self, values: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (
            linear(values).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=self.causal)
        return self.attention_output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _hidden(self, ids: Tensor) -> Tensor | None:
        """True if a word may be seen, [batch, 1, length, length]; padding sees itself, so that no row is empty."""
        if self.causal or self.padding_idx is None:
            return None
        places = torch.arange(ids.shape[-1], device=ids.device)
        return (ids != self.padding_idx)[:, None, None, :] | (places[:, None] == places)

    @override
    def arguments(self) -> dict[str, Any]:
        return {
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "rank": self.rank,
            "heads": self.heads,
            "causal": self.causal,
            "padding_idx": self.padding_idx,
        }

    def macs(self, batch: int, length: int) -> int:
        """batch * length * (5 r^2 + r d) for the linear maps and 2 * batch * length^2 * r for attention."""
        return batch * length * (5 * self.rank**2 + self.rank * self.embedding_dim + 2 * length * self.rank)

    @override
    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, rank={self.rank}, causal={self.causal}"


def _positions(length: int, width: int, *, like: Tensor) -> Tensor:
    """Sinusoidal positions [length, width] (Vaswani et al. 2017, §3.5), computed in each call: they are not weights."""
    half = (width + 1) // 2
    waves = torch.exp(torch.arange(half, device=like.device) * (-math.log(_LONGEST_WAVE) / max(1, half)))
    angles = torch.arange(length, device=like.device)[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :width].to(like.dtype)
