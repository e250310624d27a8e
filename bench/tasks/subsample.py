"""Which examples of a split are used if a suite asks for fewer than there are."""

from __future__ import annotations

import random

from bench.tasks.examples import Example


def subsample(examples: tuple[Example, ...], count: int, *, seed: int, split: str) -> tuple[Example, ...]:
    """`count` of the examples by `seed`, in the order of the data; a larger subsample of a seed holds a smaller one."""
    order = list(range(len(examples)))
    random.Random(f"{seed}:{split}").shuffle(order)
    return tuple(examples[row] for row in sorted(order[:count]))
