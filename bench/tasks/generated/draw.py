"""Seeded choices that are the same on every machine and Python version."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Choices from a stream seeded by text.

    Only `Random.random()` is used: it is the one method whose sequence the standard library promises to keep for a
    given seed (docs.python.org, random, "Notes on Reproducibility"). A seed given as text is hashed with SHA-512 by
    `Random` itself, so `PYTHONHASHSEED` has no influence.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        """True with the given probability in [0, 1]."""
        return self._random.random() < probability

    def uniform(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def pick(self, items: Sequence[T]) -> T:
        """One item, each as likely as the next; `items` must not be empty."""
        return items[int(self._random.random() * len(items))]

    def zipf(self, items: Sequence[T]) -> T:
        """One item, the k-th with probability in proportion to 1/k: few words are frequent, many rare, as in text."""
        left = self._random.random() * _harmonic(len(items))
        for rank, item in enumerate(items, start=1):
            left -= 1 / rank
            if left < 0:
                return item
        return items[-1]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """One key, with probability in proportion to its weight; the order of the keys matters to the outcome."""
        left = self._random.random() * sum(weights.values())
        for key, weight in weights.items():
            left -= weight
            if left < 0:
                return key
        return key

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order (Fisher-Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = int(self._random.random() * (last + 1))
            order[last], order[other] = order[other], order[last]
        return order

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items in random order; at most `len(items)`."""
        return self.shuffled(items)[:count]


@functools.cache
def _harmonic(count: int) -> float:
    """1 + 1/2 + ... + 1/count."""
    return sum(1 / rank for rank in range(1, count + 1))
