"""What a graph stores and multiplies, counted from its own operators."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple


class Elements(NamedTuple):
    """How many elements a stored tensor has, and how many that do not stand for zero; it answers as a tensor does."""

    elements: int
    nonzero: int

    def numel(self) -> int:
        """All elements."""
        return self.elements

    def count_nonzero(self) -> int:
        """Those that do not stand for zero."""
        return self.nonzero


class GraphProduct(NamedTuple):
    """One operator that sums products, as `bench.measures.computation.operators.Operation` has it.

    `macs` are multiply-adds; the bits are those of its operands, 32 for a number with a fraction whatever precision the
    runtime gives it; `weights` are the stored operands.
    """

    operator: str
    node: str
    macs: int
    weight_bits: int
    activation_bits: int
    weights: tuple[Elements, ...] = ()


class StoredNumbers(NamedTuple):
    """One tensor of weights in a graph: its elements, its type as numpy names it, and if its rows are looked up."""

    name: str
    counted: Elements
    dtype: str
    bits: int
    looked_up: bool

    @property
    def bytes(self) -> int:
        """What its elements take."""
        return math.ceil(self.counted.elements * self.bits / 8)

    @property
    def nonzero_bytes(self) -> int:
        """What those take that do not stand for zero."""
        return math.ceil(self.counted.nonzero * self.bits / 8)


@dataclass(frozen=True, kw_only=True)
class GraphOperators:
    """A graph's products for one shape of its inputs, what could not be counted, and what it stores.

    `uncounted` are calls by operator; `side_bytes` are those of scales, zero points and constants that are no weights.
    """

    products: tuple[GraphProduct, ...]
    uncounted: dict[str, int]
    stored: tuple[StoredNumbers, ...]
    side_bytes: int = 0
