"""A biLSTM that is made beside another model, over its tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from bench.models.adapter import adapter_for
from bench.models.bodies import beside


class BiLstmSizes(NamedTuple):
    """The sizes of a `StateBiLstmForSequenceClassification`; `embedding` None is a copy of the other model's table."""

    width: int
    layers: int
    head: int
    embedding: int | None
    dropout: float


def bilstm_beside(
    like: nn.Module, sizes: BiLstmSizes, *, pairs: bool, separator_id: int | None, pad_id: int, seed: int
) -> nn.Module:
    """A biLSTM classifier with fresh weights that reads the tokens of `like` and has as many outputs.

    Args:
        like: a model with a classification head.
        sizes: of the biLSTM.
        pairs: whether its inputs are pairs of texts, which it reads apart.
        separator_id: id of the token after the first text.
        pad_id: id of the padding token.
        seed: of the weights.

    Raises:
        ModelError: `like` has another head.
    """
    table = adapter_for(like).word_embedding(like)
    settings = {
        "vocab_size": table.num_embeddings,
        "pad_token_id": pad_id,
        "separator_id": separator_id,
        "pairs": pairs,
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.layers,
        "head_size": sizes.head,
        "embedding_size": sizes.embedding or table.embedding_dim,
        "dropout": sizes.dropout,
    }
    made = beside(like, "bench-state-bilstm", settings, seed=seed)
    if sizes.embedding is None:
        with torch.no_grad():
            adapter_for(made).word_embedding(made).weight.copy_(table.weight)
    return made
