"""The tables of the vocabulary, and what shares each of them."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from bench.layers.factorized import FactorizedEmbedding
from bench.models.adapter import adapter_for


class VocabularyTable(NamedTuple):
    """One stored table: the first name it has, every embedding that holds it, and the softmax that is tied to it."""

    name: str
    embeddings: list[nn.Embedding]
    tied: nn.Linear | None


def vocabulary_tables(model: nn.Module, main: nn.Embedding | FactorizedEmbedding) -> list[VocabularyTable]:
    """Each dense table of the vocabulary, each stored one once, that of `main`, the encoder's, among them if dense."""
    adapter = adapter_for(model)
    softmax = adapter.output_projection(model)
    entries = {main.num_embeddings, *([softmax.out_features] if isinstance(softmax, nn.Linear) else [])}
    shared: dict[int, list[tuple[str, nn.Embedding]]] = {}
    for name, module in adapter.embeddings(model).items():
        # The vocabulary's size tells a word embedding from one of positions or token types.
        words = module.num_embeddings in entries and module.embedding_dim == main.embedding_dim
        if module is main or (type(module) is nn.Embedding and words):
            shared.setdefault(module.weight.data_ptr(), []).append((name, module))
    found = []
    for pointer, places in shared.items():
        tied = softmax if isinstance(softmax, nn.Linear) and softmax.weight.data_ptr() == pointer else None
        once = list({id(module): module for _, module in places}.values())
        found.append(VocabularyTable(places[0][0], once, tied))
    return found
