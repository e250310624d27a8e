import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.tasks import search as searching
from bench.tasks.search import MEMORY_BYTES, search


def vectors(count, width=8, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def sorted_all(queries, documents, count):
    """Every score computed, sorted stably: equal ones stay in the order of the documents."""
    scores = queries @ documents.T
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


@pytest.mark.parametrize("documents", [5, 100, 101, 1000])
def test_the_best_documents_are_those_of_all_scores_sorted(documents, monkeypatch):
    monkeypatch.setattr(searching, "DOCUMENTS", 64)
    monkeypatch.setattr(searching, "QUERIES", 3)
    queries, index = vectors(7, seed=1), vectors(documents)
    hits = search(queries, index, count=100)
    expected = sorted_all(queries, index, 100)
    assert hits.places.tolist() == expected.tolist()
    rounding = queries.shape[1] * np.finfo(np.float32).eps * (abs(queries) @ abs(index).T).max()  # of a sum, twice
    assert np.allclose(hits.scores, np.take_along_axis(queries @ index.T, expected, axis=1), rtol=0, atol=2 * rounding)


def test_documents_with_equal_scores_stand_in_their_order_also_across_blocks(monkeypatch):
    monkeypatch.setattr(searching, "DOCUMENTS", 4)
    index = np.ones((30, 4), dtype=np.float32)
    index[[9, 21]] = 2
    hits = search(np.ones((2, 4), dtype=np.float32), index, count=6)
    assert hits.places.tolist() == [[9, 21, 0, 1, 2, 3]] * 2


def test_whole_numbers_with_many_ties_are_ranked_as_a_stable_sort_does(monkeypatch):
    monkeypatch.setattr(searching, "DOCUMENTS", 16)
    draws = np.random.default_rng(3)
    queries, index = (draws.integers(-1, 2, size=(count, 3)).astype(np.float32) for count in (5, 200))
    assert search(queries, index, count=20).places.tolist() == sorted_all(queries, index, 20).tolist()


class Held(TorchDispatchMode):
    """The bytes of the largest tensor that is made anew, and not as a view of a given one."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        given = {each.untyped_storage().data_ptr() for each in tree_leaves(args) if isinstance(each, torch.Tensor)}
        for each in tree_leaves(found):
            if isinstance(each, torch.Tensor) and each.untyped_storage().data_ptr() not in given:
                self.largest = max(self.largest, each.numel() * each.element_size())
        return found


def test_a_million_vectors_are_searched_in_blocks_within_the_stated_memory():
    documents = np.zeros((1_000_000, 384), dtype=np.float32)  # pages that are only read take no memory
    documents[[999_999, 500_000]] = 1
    tensors = Held()
    with tensors:
        hits = search(np.ones((2, 384), dtype=np.float32), documents, count=100)
    assert hits.places[0].tolist() == [500_000, 999_999, *range(98)]
    # Scores, their copy, masks and running counts of 64 queries live together: fewer than eight such tensors.
    assert 8 * tensors.largest * searching.QUERIES // 2 <= MEMORY_BYTES
