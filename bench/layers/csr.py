"""A linear layer whose zeros are neither stored nor multiplied: compressed sparse rows, of single weights or blocks."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.layer import LAYER_KINDS, StoredLayer


@LAYER_KINDS.register("csr-linear")
class CsrLinear(StoredLayer):
    """y = W x + bias with W in compressed sparse rows, on disk, in memory and in the product.

    The layout is scipy's and torch's CSR, or BSR if `block` is above 1: a block with a weight that is not zero is
    stored and multiplied whole. On a CPU the product is MKL's, which takes int32 indices and 32-bit floats (int64
    indices would be copied at every call). Below a density of 1/2, 8 bytes per stored weight are fewer than 4 per
    weight of the dense matrix; above 1/32, one bit per weight (the codec of artifacts) is smaller on disk.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        stored: blocks that are stored; of single weights if `block` is 1.
        block: side of the blocks; it divides both widths.
        bias: whether a bias [out_features] is added.

    Buffers: `weight` float32 [stored], or [stored, block, block]; `columns` int32 [stored], the block column of each;
    `row_starts` int32 [out_features / block + 1]; `bias` float32 or None. It passes no gradient on: in training mode,
    an input that wants one raises `MethodError`. So does a block that does not divide the widths, or more blocks than
    there are.
    """

    kind: ClassVar[str] = "csr-linear"
    weight: Tensor
    columns: Tensor
    row_starts: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, stored: int, block: int = 1, bias: bool = True) -> None:
        super().__init__()
        if block < 1 or in_features % block or out_features % block:
            raise MethodError(f"blocks of {block} x {block} do not divide a matrix of {out_features} x {in_features}")
        if not 0 <= stored * block**2 <= in_features * out_features:
            raise MethodError(f"{stored} blocks of {block} x {block} do not fit into {out_features} x {in_features}")
        self.in_features = in_features
        self.out_features = out_features
        self.stored = stored
        self.block = block
        inner = () if block == 1 else (block, block)
        self.register_buffer("weight", torch.zeros(stored, *inner))
        self.register_buffer("columns", torch.zeros(stored, dtype=torch.int32))
        self.register_buffer("row_starts", torch.zeros(out_features // block + 1, dtype=torch.int32))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)
        self._matrix: Tensor | None = None

    @classmethod
    def from_dense(cls, weight: Tensor, bias: Tensor | None, *, block: int = 1) -> CsrLinear:
        """The layer of `weight` [out, in] and `bias` [out] or None, copied; zeros, -0.0 too, are left out."""
        values = weight.detach().float()
        height, width = values.shape
        if block < 1 or height % block or width % block:
            raise MethodError(f"blocks of {block} x {block} do not divide a matrix of {height} x {width}")
        # [block rows, block columns, block, block]
        tiles = values.view(height // block, block, width // block, block).transpose(1, 2)
        kept = (tiles != 0).flatten(2).any(dim=2)
        layer = cls(width, height, int(kept.sum()), block, bias is not None)
        layer.weight = tiles[kept].view(layer.weight.shape)
        layer.columns = kept.nonzero()[:, 1].to(torch.int32)
        ends = kept.sum(dim=1).cumsum(dim=0)
        layer.row_starts = torch.cat([ends.new_zeros(1), ends]).to(torch.int32)
        layer.bias = None if bias is None else bias.detach().float().clone()
        return layer

    @property
    def density(self) -> float:
        """Share of the matrix that is stored and multiplied, in [0, 1]."""
        return self.weight.numel() / (self.in_features * self.out_features)

    @property
    @override
    def opaque(self) -> bool:
        return True

    @property
    def kernel(self) -> str:
        """What runs where the layer is now."""
        form = "csr" if self.block == 1 else f"bsr {self.block}x{self.block}"
        device = self.weight.device.type
        has_mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        return f"{'mkl' if device == 'cpu' and has_mkl else device} {form}"

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and inputs.requires_grad and torch.is_grad_enabled():
            raise MethodError("a CSR layer has no gradient. Train first and sparsify in the last stage")
        rows = inputs.detach().reshape(-1, self.in_features).to(self.weight.dtype)
        return self._product(rows).to(inputs.dtype).view(*inputs.shape[:-1], self.out_features)

    @override
    def dense(self) -> Tensor:
        side = self.block
        grid = self.weight.new_zeros(self.out_features // side, self.in_features // side, side, side)
        counts = self.row_starts.diff().long()
        rows = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        grid[rows, self.columns.long()] = self.weight.view(-1, side, side)
        return grid.transpose(1, 2).reshape(self.out_features, self.in_features)

    @override
    def arguments(self) -> dict[str, Any]:
        return {
            "in_features": self.in_features,
            "out_features": self.out_features,
            "stored": self.stored,
            "block": self.block,
            "bias": self.bias is not None,
        }

    def macs(self, rows: int) -> int:
        """rows * stored weights, zeros inside stored blocks included."""
        return rows * self.weight.numel()

    @override
    def multiplied(self) -> tuple[Tensor, ...]:
        return (self.weight,)

    @override
    def extra_repr(self) -> str:
        shape = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{shape}, density={self.density:.3f}, kernel={self.kernel}"

    def _product(self, rows: Tensor) -> Tensor:
        """[rows, in] to [rows, out], contiguous as a dense layer's."""
        matrix = self._sparse()
        if len(rows) == 1:  # the kernel for one vector takes half the time of the one for many
            row = torch.mv(matrix, rows[0]) if self.bias is None else torch.addmv(self.bias, matrix, rows[0])
            return row[None]
        columns = matrix @ rows.t() if self.bias is None else torch.addmm(self.bias[:, None], matrix, rows.t())
        return columns.t().contiguous()

    def _sparse(self) -> Tensor:
        """The buffers as torch's sparse tensor, which shares their memory; checked once, as kernels never do."""
        if self._matrix is None:
            build = torch.sparse_csr_tensor if self.block == 1 else torch.sparse_bsr_tensor
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=r"Sparse (CSR|BSR) tensor support is in beta state")
                self._matrix = build(
                    self.row_starts,
                    self.columns,
                    self.weight,
                    size=(self.out_features, self.in_features),
                    check_invariants=True,
                )
        return self._matrix

    def _apply(self, *args: Any, **kwargs: Any) -> CsrLinear:
        self._matrix = None
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._matrix = None
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_matrix": None}
