"""Attention as one block-term tensor of three factors, without a softmax: multi-linear attention."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.layer import LAYER_KINDS, StoredModule


def block_term(query: Tensor, key: Tensor, value: Tensor, core: Tensor) -> Tensor:
    """T[b, i, j, k] = sum_r core[r] query[b, i, r] key[b, j, r] value[b, k, r] (Ma et al. 2019, eq. 6).

    Args:
        query: [batch, queries, rank].
        key: [batch, keys, rank].
        value: [batch, keys, rank].
        core: the diagonal of the core tensor, [rank].
    """
    pairs = (query * core)[:, :, None, :] * key[:, None, :, :]  # [batch, queries, keys, rank]
    flat = torch.matmul(pairs.flatten(1, 2), value.transpose(1, 2))  # [batch, queries * keys, keys]
    return flat.view(len(flat), *pairs.shape[1:3], -1)


@LAYER_KINDS.register("block-term-attention")
class BlockTermAttention(StoredModule):
    """Multi-linear attention of the Tensorized Transformer (Ma et al. 2019, arXiv:1906.09777, §3.3).

    Position i is described by T[i, :, :] of `block_term`, divided by sqrt(rank), laid out as N^2 numbers (SplitConcat)
    and mapped to the width. All cores share query, key and value, so their mean is one core, the mean of theirs.

    The map from N^2 has a column for each pair of positions, which fixes the length: at most N tokens, and shorter
    sequences use the columns of their positions. Memory is O(N^3). What a position may not see (padding, and with
    `causal` what comes after it) is zero in T at both j and k; the authors' code takes a mask and never uses it, so
    its language models see the words that they predict.

    Args:
        width: of the hidden states, d.
        rank: R, the width of the three factors.
        cores: how many cores are averaged.
        length: N, the most positions.
        causal: whether position i sees no later one.
        own_output: whether the map from N^2 to the width is inside, or N^2 numbers per position are given.
        layer_idx: the layer's place in a cache of keys and values.
    """

    kind: ClassVar[str] = "block-term-attention"

    def __init__(
        self,
        width: int,
        rank: int,
        cores: int,
        length: int,
        causal: bool = False,
        own_output: bool = True,
        layer_idx: int | None = None,
    ) -> None:
        super().__init__()
        self.width = width
        self.rank = rank
        self.cores = cores
        self.length = length
        self.is_causal = causal
        self.own_output = own_output
        self.layer_idx = layer_idx
        self.query = nn.Linear(width, rank, bias=False)
        self.key = nn.Linear(width, rank, bias=False)
        self.value = nn.Linear(width, rank, bias=False)
        self.core = nn.Parameter(torch.softmax(torch.randn(cores, rank), dim=-1))  # each core starts with sum 1
        self.output = nn.Linear(length**2, width, bias=False) if own_output else None

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        **others: Any,
    ) -> tuple[Tensor, None]:
        """[batch, queries, width] to the same, or to [batch, queries, N^2] without an output of its own.

        `attention_mask` is boolean (true may be seen) or what is added to scores (0 may be seen), [batch, 1, queries,
        keys]. Raises `MethodError` for more than N positions.
        """
        query, key, value = self.query(hidden_states), self.key(hidden_states), self.value(hidden_states)
        if past_key_values is not None:
            cache = getattr(past_key_values, "self_attention_cache", past_key_values)
            key, value = (each[:, 0] for each in cache.update(key[:, None], value[:, None], self.layer_idx))
        count, keys = query.shape[1], key.shape[1]
        if keys > self.length:
            raise MethodError(
                f"block-term attention was built for {self.length} positions, found {keys}; its width depends on the "
                f"length. Set `length` to the longest sequence of the suite."
            )
        seen = self._seen(attention_mask, count, keys, hidden_states)
        tensor = block_term(query, key, value, self.core.mean(dim=0)) / math.sqrt(self.rank)
        if seen is not None:
            tensor = tensor * (seen[:, :, :, None] * seen[:, :, None, :])
        if self.output is None:
            room = self.length - keys
            return functional.pad(tensor, (0, room, 0, room)).flatten(2), None
        columns = self.output.weight.view(self.width, self.length, self.length)[:, :keys, :keys]
        return functional.linear(tensor.flatten(2), columns.reshape(self.width, -1)), None

    def _seen(self, mask: Tensor | None, count: int, keys: int, like: Tensor) -> Tensor | None:
        """1 where query i may see key j and 0 elsewhere, [batch or 1, queries, keys]; None if all see all."""
        seen = None
        if mask is not None:
            allowed = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
            seen = allowed[:, 0, :, :keys].to(like.dtype).expand(-1, count, -1)
        if self.is_causal:
            lower = torch.ones(count, keys, dtype=like.dtype, device=like.device).tril(keys - count)
            seen = lower[None] if seen is None else seen * lower
        return seen

    @override
    def arguments(self) -> dict[str, Any]:
        return {
            "width": self.width,
            "rank": self.rank,
            "cores": self.cores,
            "length": self.length,
            "causal": self.is_causal,
            "own_output": self.own_output,
            "layer_idx": self.layer_idx,
        }

    def macs(self, batch: int, length: int) -> int:
        """batch * length * (3 d R + length^2 R), and with an output of its own batch * length^3 * d."""
        each = 3 * self.width * self.rank + length**2 * self.rank
        return batch * length * (each + (length**2 * self.width if self.own_output else 0))

    @override
    def extra_repr(self) -> str:
        return f"rank={self.rank}, cores={self.cores}, length={self.length}, causal={self.is_causal}"
