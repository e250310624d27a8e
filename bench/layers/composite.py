"""Layers and embeddings that are the product or the sum of two others, each stored in a form of its own."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from torch import Tensor, nn
from typing_extensions import override

from bench.layers.input_rounding import InputRounding
from bench.layers.layer import FLOAT_BITS, LAYER_KINDS, StoredEmbedding, StoredLayer, dense_linear, rebuild
from bench.layers.low_bit import tiled_product


@LAYER_KINDS.register("product-linear")
class ProductLinear(StoredLayer):
    """y = second (first x): a factorized layer whose factors [rank, in] and [out, rank] are any stored layers.

    `second` holds the bias. Each factor runs its own kernel, and measures ask the factors.
    """

    kind: ClassVar[str] = "product-linear"

    def __init__(self, first: StoredLayer, second: StoredLayer) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.in_features = first.in_features
        self.out_features = second.out_features

    @override
    @classmethod
    def from_arguments(cls, **arguments: Any) -> ProductLinear:
        return cls(**_parts(arguments))

    @property
    @override
    def opaque(self) -> bool:
        return False

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.second(self.first(inputs))
        return outputs

    @override
    def dense(self) -> Tensor:
        return self.second.dense() @ self.first.dense()

    @override
    def arguments(self) -> dict[str, Any]:
        return {"first": _described(self.first), "second": _described(self.second)}

    def macs(self, rows: int) -> int:
        """rows * rank * (in + out) for dense factors."""
        return self.first.macs(rows) + self.second.macs(rows)


@LAYER_KINDS.register("sum-linear")
class SumLinear(StoredLayer):
    """y = (A + B) x + bias with A and B [out, in] any stored layers.

    A block of output rows of both is turned into floats and added before it is multiplied. So one float product is
    executed and counted; a machine for binary numbers would do two in binary. Bytes are saved, no time.

    Args:
        first: A, without a bias.
        second: B, which may have a `bias` [out].
        inputs: rounds x, once for both; None leaves it as it is.
    """

    kind: ClassVar[str] = "sum-linear"

    def __init__(self, first: StoredLayer, second: StoredLayer, inputs: InputRounding | None = None) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.inputs = inputs
        self.in_features = second.in_features
        self.out_features = second.out_features

    @override
    @classmethod
    def from_arguments(cls, **arguments: Any) -> SumLinear:
        return cls(**_parts(arguments))

    @property
    def weight_bits(self) -> int:  # type: ignore[override]
        """Bits of the wider matrix's weights."""
        return max(self.first.weight_bits, self.second.weight_bits)

    @property
    def activation_bits(self) -> int:  # type: ignore[override]
        """Bits of one input after rounding; a float's if none is rounded."""
        return FLOAT_BITS if self.inputs is None else self.inputs.bits

    @property
    @override
    def runs_as_float(self) -> bool:
        return True

    @property
    @override
    def opaque(self) -> bool:
        return True

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        values = inputs.float() if self.inputs is None else self.inputs(inputs.float())
        bias = cast("Tensor | None", getattr(self.second, "bias", None))
        return tiled_product(values, self.rows, self.out_features, bias).to(inputs.dtype)

    @override
    def rows(self, places: Tensor) -> Tensor:
        return self.first.rows(places) + self.second.rows(places)

    @override
    def dense(self) -> Tensor:
        return self.first.dense() + self.second.dense()

    @override
    def portable(self) -> nn.Module:
        return dense_linear(self.dense(), getattr(self.second, "bias", None))

    @override
    def arguments(self) -> dict[str, Any]:
        both: dict[str, Any] = {"first": _described(self.first), "second": _described(self.second)}
        return both if self.inputs is None else {**both, "inputs": self.inputs.arguments()}

    def macs(self, rows: int) -> int:
        """rows * in * out: the matrices are added before they are multiplied."""
        return rows * self.in_features * self.out_features


@LAYER_KINDS.register("product-embedding")
class ProductEmbedding(StoredEmbedding):
    """e = projection table[id]: a factorized embedding whose table [V, E] and matrix [H, E] have any stored form."""

    kind: ClassVar[str] = "product-embedding"

    def __init__(self, table: StoredEmbedding, projection: StoredLayer) -> None:
        super().__init__()
        self.table = table
        self.projection = projection
        self.num_embeddings = table.num_embeddings
        self.embedding_dim = projection.out_features

    @override
    @classmethod
    def from_arguments(cls, **arguments: Any) -> ProductEmbedding:
        return cls(**_parts(arguments))

    def tied(self, narrowing: StoredLayer, bias: Tensor | None) -> ProductLinear:
        """The tied output layer: `narrowing` [E, H], then the table's own tensors, with a copy of `bias` [V]."""
        return ProductLinear(narrowing, self.table.softmax(bias))

    @override
    def forward(self, ids: Tensor) -> Tensor:
        widened: Tensor = self.projection(self.table(ids))
        return widened

    @override
    def dense(self) -> Tensor:
        return self.table.dense() @ self.projection.dense().t()

    @override
    def arguments(self) -> dict[str, Any]:
        return {"table": _described(self.table), "projection": _described(self.projection)}

    def macs(self, tokens: int) -> int:
        """tokens * E * H for a dense matrix: a look-up costs nothing, widening its row does."""
        return self.projection.macs(tokens)


@LAYER_KINDS.register("sum-embedding")
class SumEmbedding(StoredEmbedding):
    """e = A[id] + B[id] with A and B [V, H] of any stored form."""

    kind: ClassVar[str] = "sum-embedding"

    def __init__(self, first: StoredEmbedding, second: StoredEmbedding) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.num_embeddings = first.num_embeddings
        self.embedding_dim = first.embedding_dim

    @override
    @classmethod
    def from_arguments(cls, **arguments: Any) -> SumEmbedding:
        return cls(**_parts(arguments))

    @override
    def softmax(self, bias: Tensor | None, inputs: InputRounding | None = None) -> SumLinear:
        return SumLinear(self.first.softmax(None), self.second.softmax(bias), inputs)

    @override
    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.first(ids) + self.second(ids)
        return found

    @override
    def dense(self) -> Tensor:
        return self.first.dense() + self.second.dense()

    @override
    def arguments(self) -> dict[str, Any]:
        return {"first": _described(self.first), "second": _described(self.second)}


def _described(part: StoredLayer | StoredEmbedding) -> dict[str, Any]:
    """A part as data: its kind and its arguments."""
    return {"kind": part.kind, "arguments": part.arguments()}


def _parts(arguments: dict[str, Any]) -> dict[str, Any]:
    """The empty parts of a composition that `arguments` describes; raises `TypeError` if one cannot be a part."""
    parts: dict[str, Any] = {}
    for name, data in arguments.items():
        if name == "inputs":
            parts[name] = None if data is None else InputRounding(**data)
            continue
        parts[name] = rebuild(data["kind"], data["arguments"], where=f"part '{name}'")
        if not isinstance(parts[name], StoredLayer | StoredEmbedding):
            raise TypeError(f"part '{name}' of kind '{data['kind']}' is neither a stored layer nor a stored embedding")
    return parts
