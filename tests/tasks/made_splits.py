"""The generated splits, made once for all tests that read them."""

from __future__ import annotations

import functools

from bench.tasks.generated.generator import GENERATORS

TASKS = ("inference", "questions", "sentiment", "similarity")


@functools.cache
def made(task: str, split: str, seed: int = 0):
    """The examples of one split."""
    return GENERATORS.get(task).generate(split, seed)


def words(example) -> list[str]:
    """The words of an example, of both its texts."""
    return f"{example.text} {example.pair or ''}".split()
