"""What a graph of another runtime costs, counted from its own operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measures.computation.operators import Operation

if TYPE_CHECKING:
    from bench.runtimes.graph_model import GraphModel

_FLOAT_BITS = {"bfloat16": 16, "float16": 16}


def graph_operations(model: GraphModel, *, rows: int, length: int) -> tuple[tuple[Operation, ...], dict[str, int]]:
    """Every product for inputs [rows, length], and the calls of operators that nobody knows how to count.

    Numbers with a fraction have the bits of the precision that really runs here.
    """
    found = model.operators(rows=rows, length=length)
    wide = _FLOAT_BITS.get(model.session().precision, 32)
    operations = tuple(
        Operation(
            operator=product.operator,
            module="",
            macs=product.macs,
            weight_bits=min(product.weight_bits, wide),
            activation_bits=min(product.activation_bits, wide),
            weights=tuple((weight,) for weight in product.weights),
        )
        for product in found.products
    )
    return operations, found.uncounted
