"""Exact search of the documents with the largest scores among a corpus of vectors, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Array = np.ndarray[Any, Any]

DOCUMENTS, QUERIES = 16384, 64  # vectors of a block
MEMORY_BYTES = 64 * 2**20  # what a search holds at most beside vectors and results, for up to 1000 documents a query


class Hits(NamedTuple):
    """The best documents of each query, best first: their `places` in the corpus and their `scores`.

    Both are [queries, found]. Documents with equal scores stand in the order of the corpus.
    """

    places: Array
    scores: Array


def search(queries: Array, documents: Array, *, count: int) -> Hits:
    """The `count` documents with the largest dot product for every query, all of them if there are fewer.

    Every document is compared with every query, so nothing is missed. Memory beside the vectors and the result stays
    below `MEMORY_BYTES`, however many documents there are; `documents` may be mapped from a file.

    Args:
        queries: [queries, width] float32.
        documents: [documents, width] float32.
        count: at least 1.
    """
    import numpy as np
    import torch

    found = []
    with torch.inference_mode():
        for start in range(0, len(queries), QUERIES):
            found.append(_best(torch.from_numpy(queries[start : start + QUERIES]), documents, count))
    return Hits(*(np.concatenate([part[index] for part in found]) for index in range(2)))


def _best(queries: Tensor, documents: Array, count: int) -> tuple[Array, Array]:
    """The hits of one block of queries."""
    import torch

    places = torch.empty((len(queries), 0), dtype=torch.int64)
    scores = torch.empty((len(queries), 0), dtype=queries.dtype)
    for start in range(0, len(documents), DOCUMENTS):
        block = torch.from_numpy(documents[start : start + DOCUMENTS])
        # What was found before comes first, so that the order of the columns is that of the corpus.
        joined = torch.cat([scores, queries @ block.T], dim=1)  # [queries, kept + block]
        columns = _largest(joined, count)
        before = scores.size(1)
        kept = torch.where(columns < before, 0, columns - before + start)
        if before:
            old = places.gather(1, columns.clamp(max=before - 1))
            kept = torch.where(columns < before, old, kept)
        places, scores = kept, joined.gather(1, columns)
    order = scores.sort(dim=1, descending=True, stable=True).indices
    return places.gather(1, order).numpy(), scores.gather(1, order).numpy()


def _largest(scores: Tensor, count: int) -> Tensor:
    """The columns of the `count` largest values of each row, in their order; of equal ones the first, [rows, count]."""
    import torch

    if scores.size(1) <= count:
        return torch.arange(scores.size(1)).expand(len(scores), -1)
    least = scores.topk(count, dim=1).values[:, -1:]
    above, equal = scores > least, scores == least
    room = count - above.sum(dim=1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(dim=1, dtype=torch.int32) <= room))
    return chosen.nonzero()[:, 1].view(len(scores), count)
