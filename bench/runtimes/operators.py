"""What a graph stores and multiplies, counted from its own operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Product(NamedTuple):
    """One operator that sums products, as `bench.measures.computation.operators.Operation` has it.

    `macs` are multiply-adds; the bits are those of its operands; `weights` are (elements, elements that are not zero)
    of each stored operand.
    """

    operator: str
    node: str
    macs: int
    weight_bits: int
    activation_bits: int
    weights: tuple[tuple[int, int], ...] = ()


class StoredNumbers(NamedTuple):
    """One tensor of weights in a graph: its elements, those that are not zero, its bits, and if it is looked up."""

    name: str
    elements: int
    nonzero: int
    bits: int
    looked_up: bool


@dataclass(frozen=True, kw_only=True)
class GraphOperators:
    """A graph's products for one shape of its inputs, what could not be counted, and what it stores.

    `uncounted` are calls by operator; `side_bytes` are those of scales, zero points and constants that are no weights.
    """

    products: tuple[Product, ...]
    uncounted: dict[str, int]
    stored: tuple[StoredNumbers, ...]
    side_bytes: int = 0
