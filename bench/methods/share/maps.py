"""Share maps as plain lists: the stored layer that each position of a stack runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bench.base.errors import MethodError

Map = Literal["all", "sequence", "cycle", "cycle-rev", "sandwich", "explicit", "none"]
COUNTED: tuple[Map, ...] = ("sequence", "cycle", "cycle-rev")  # the maps that are told how many layers to store


def share_map(name: Map, *, depth: int, unique: int = 1, explicit: Sequence[int] = ()) -> list[int]:
    """The stored layer of each of `depth` positions.

    `sequence`, `cycle` and `cycle-rev` are those of Takase & Kiyono 2021 (arXiv:2104.06022, §2): for 3 stored layers
    in 6 positions 001122, 012012, 012210. `sandwich` is Subformer's (Reid et al. 2021, arXiv:2101.00234, §3.1): the
    first and the last position have their own layer, those between share one. `all` shares one, `none` shares nothing.

    Raises:
        MethodError: more stored layers than positions, a sandwich without a middle, or an explicit map that does not
            have one number for each position.
    """
    if name in COUNTED and unique > depth:
        raise MethodError(f"share: unique is {unique}, and the given model has {depth} layers")
    if name == "sandwich" and depth < 3:
        raise MethodError(f"share: map 'sandwich' shares what is between two layers, and the model has only {depth}")
    if name == "explicit" and len(explicit) != depth:
        raise MethodError(f"share: places has {len(explicit)} numbers, and the given model has {depth} layers")
    maps = {
        "all": lambda: [0] * depth,
        "sequence": lambda: [place * unique // depth for place in range(depth)],
        "cycle": lambda: [place % unique for place in range(depth)],
        "cycle-rev": lambda: [*(place % unique for place in range(depth - unique)), *reversed(range(unique))],
        "sandwich": lambda: [0, *[1] * (depth - 2), 2],
        "explicit": lambda: list(explicit),
        "none": lambda: list(range(depth)),
    }
    return maps[name]()
