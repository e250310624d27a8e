"""Linear layers and embeddings whose weights stay packed in a few bits, in the file and in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.layers.cells import Cells
from bench.layers.coding import Coding, Form, SideData, pack, packed_bytes, unpack
from bench.layers.input_rounding import InputRounding
from bench.layers.layer import DEQUANTIZED, FLOAT_BITS, LAYER_KINDS, StoredEmbedding, StoredLayer

TILE = 2**17  # numbers that are in float at once: half a MiB, which a core's own cache holds


def register_coded(module: nn.Module, coding: Coding) -> None:
    """Give `module` the buffers of a coding: `weight` uint8 [rows, bytes of a row], and its side data."""
    cells = coding.cells
    module.register_buffer(
        "weight", torch.zeros(cells.rows, packed_bytes(cells.columns, coding.bits), dtype=torch.uint8)
    )
    for name, (shape, dtype) in coding.shapes().items():
        module.register_buffer(name, torch.zeros(shape, dtype=dtype))


def fill_coded(module: nn.Module, coding: Coding, codes: Tensor, side: SideData) -> None:
    """Put packed `codes` uint8 [rows, columns] and copies of the `side` data into the buffers, in place."""
    module.weight = pack(codes, coding.bits)
    for name, (shape, dtype) in coding.shapes().items():
        setattr(module, name, side[name].detach().to(dtype).reshape(shape).clone())


def decoded(module: nn.Module, coding: Coding, rows: Tensor) -> Tensor:
    """The numbers float32 [n, columns] of the rows with these numbers [n]; no others are unpacked."""
    stream: Tensor = module.weight  # type: ignore[assignment]
    side = {name: module._buffers[name] for name in coding.shapes()}
    codes = unpack(stream[rows], coding.bits, coding.cells.columns)
    return coding.decode(codes, side, rows)  # type: ignore[arg-type]


def tiled_product(
    values: Tensor, rows_of: Callable[[Tensor], Tensor], out_features: int, bias: Tensor | None
) -> Tensor:
    """W x + bias for float32 `values` [..., in], a block of output rows at a time, each as `rows_of` gives it."""
    step = max(1, TILE // values.shape[-1])
    parts = []
    for start in range(0, out_features, step):
        rows = torch.arange(start, min(start + step, out_features), device=values.device)
        part = None if bias is None else bias[start : start + step]
        parts.append(functional.linear(values, rows_of(rows), part))
    return torch.cat(parts, dim=-1)


@LAYER_KINDS.register("low-bit-linear")
class LowBitLinear(StoredLayer):
    """y = W x + bias with W packed in 1 to 8 bits per weight; a block of output rows is in float at a time.

    The product is in float, so no time is saved: bytes on disk and in memory are. For the meaning of the codes see
    `bench.layers.coding.Coding`. With `inputs` it first rounds what it is given, as `InputRounding` says, which costs
    time and says what a kernel of these widths would compute.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        form: what a code stands for.
        bits: width of one code.
        groups: runs of output rows with side data of their own.
        bucket: columns of such a cell.
        outliers: weights that are stored in full beside the codes.
        bias: whether a float32 bias [out_features] is added.
        inputs: arguments of the rounding of its inputs; None leaves them as they are.

    Buffers: `weight` uint8 [out_features, ceil(in_features * bits / 8)], the side data of the form, and `bias`.
    Gradients pass to the input.
    """

    kind: ClassVar[str] = "low-bit-linear"
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        form: Form,
        bits: int,
        groups: int,
        bucket: int,
        outliers: int = 0,
        bias: bool = True,
        inputs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        cells = Cells(rows=out_features, columns=in_features, groups=groups, bucket=bucket)
        self.coding = Coding(form=form, bits=bits, cells=cells, outliers=outliers)
        register_coded(self, self.coding)
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)
        self.inputs = None if inputs is None else InputRounding(**inputs)

    @classmethod
    def from_codes(
        cls, coding: Coding, codes: Tensor, side: SideData, bias: Tensor | None, inputs: InputRounding | None = None
    ) -> LowBitLinear:
        """The layer of `codes` uint8 [out, in] with their `side` data and a bias [out] or None, all copied.

        The rounding of `inputs` is kept as it is.
        """
        cells = coding.cells
        layer = cls(cells.columns, cells.rows, **coding.arguments(), bias=bias is not None)
        fill_coded(layer, coding, codes, side)
        layer.bias = None if bias is None else bias.detach().float().clone()
        layer.inputs = inputs
        return layer

    @property
    def weight_bits(self) -> int:  # type: ignore[override]
        """Bits of one stored weight."""
        return self.coding.bits

    @property
    def activation_bits(self) -> int:  # type: ignore[override]
        """Bits of one input that is multiplied; a float's if none is rounded."""
        return FLOAT_BITS if self.inputs is None else self.inputs.bits

    @property
    def kernel(self) -> str:
        """What runs: float arithmetic on every device."""
        return DEQUANTIZED

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        values = inputs.float() if self.inputs is None else self.inputs(inputs.float())
        outputs = tiled_product(values, self.rows, self.out_features, self.bias)
        return outputs.to(inputs.dtype)

    @override
    def dense(self) -> Tensor:
        return self.rows(torch.arange(self.out_features, device=self.weight.device))

    @override
    def rows(self, places: Tensor) -> Tensor:
        return decoded(self, self.coding, places)

    @override
    def numbers(self, leaf: str) -> Tensor:
        return self.dense() != 0 if leaf == "weight" else super().numbers(leaf)

    @override
    def arguments(self) -> dict[str, Any]:
        widths = {"in_features": self.in_features, "out_features": self.out_features}
        inputs = {} if self.inputs is None else {"inputs": self.inputs.arguments()}
        return {**widths, **self.coding.arguments(), "bias": self.bias is not None, **inputs}

    def macs(self, rows: int) -> int:
        """rows * in * out, as for the dense layer: its numbers are multiplied in float."""
        return rows * self.in_features * self.out_features

    @override
    def extra_repr(self) -> str:
        widths = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{widths}, {self.coding.form} of {self.coding.bits} bits, {self.coding.cells.shape} cells"


@LAYER_KINDS.register("low-bit-embedding")
class LowBitEmbedding(StoredEmbedding):
    """A table of rows packed in 1 to 8 bits per weight; only the rows that are looked up are turned into floats.

    Args:
        num_embeddings: rows.
        embedding_dim: width of a row.
        form: what a code stands for, see `bench.layers.coding.Coding`.
        bits: width of one code.
        groups: runs of rows with side data of their own.
        bucket: columns of such a cell.
        outliers: weights that are stored in full beside the codes.

    Buffers: `weight` uint8 [num_embeddings, ceil(embedding_dim * bits / 8)] and the side data of the form; a softmax
    tied to the table is a `LowBitLinear` that has the same buffers.
    """

    kind: ClassVar[str] = "low-bit-embedding"
    weight: Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        form: Form,
        bits: int,
        groups: int,
        bucket: int,
        outliers: int = 0,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        cells = Cells(rows=num_embeddings, columns=embedding_dim, groups=groups, bucket=bucket)
        self.coding = Coding(form=form, bits=bits, cells=cells, outliers=outliers)
        register_coded(self, self.coding)

    @classmethod
    def from_codes(cls, coding: Coding, codes: Tensor, side: SideData) -> LowBitEmbedding:
        """The embedding of `codes` uint8 [rows, width] with their `side` data, all copied."""
        made = cls(coding.cells.rows, coding.cells.columns, **coding.arguments())
        fill_coded(made, coding, codes, side)
        return made

    @override
    def softmax(self, bias: Tensor | None, inputs: InputRounding | None = None) -> LowBitLinear:
        made = LowBitLinear(self.embedding_dim, self.num_embeddings, **self.coding.arguments(), bias=bias is not None)
        for name in ("weight", *self.coding.shapes()):
            made._buffers[name] = self._buffers[name]
        made.bias = None if bias is None else bias.detach().float().clone()
        made.inputs = inputs
        return made

    @override
    def forward(self, ids: Tensor) -> Tensor:
        return decoded(self, self.coding, ids.reshape(-1)).view(*ids.shape, self.embedding_dim)

    @property
    def weight_bits(self) -> int:  # type: ignore[override]
        """Bits of one stored weight."""
        return self.coding.bits

    @override
    def numbers(self, leaf: str) -> Tensor:
        return self.dense() != 0 if leaf == "weight" else super().numbers(leaf)

    @override
    def dense(self) -> Tensor:
        return decoded(self, self.coding, torch.arange(self.num_embeddings, device=self.weight.device))

    @override
    def arguments(self) -> dict[str, Any]:
        sizes = {"num_embeddings": self.num_embeddings, "embedding_dim": self.embedding_dim}
        return {**sizes, **self.coding.arguments()}

    @override
    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, {self.coding.form} of {self.coding.bits} bits"
