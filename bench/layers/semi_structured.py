"""A linear layer with two weights in each four, stored packed and run on sparse tensor cores if there are any."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.layer import DEQUANTIZED, LAYER_KINDS, StoredLayer

GROUP, KEPT = 4, 2
LEAST_CAPABILITY = (8, 0)
SIDE = 16  # cuSPARSELt multiplies 16-bit matrices whose sides are multiples of it


class Packed(NamedTuple):
    """A matrix [rows, columns] with at most two weights that are not zero in each four along a row.

    `values` [rows, columns / 2] in the matrix's dtype, `positions` uint8 [ceil(rows * columns / 8)]: 2 bits per value,
    its place in its group, the first value in the lowest bits.
    """

    values: Tensor
    positions: Tensor


def pack(weight: Tensor, *, where: str = "matrix") -> Packed:
    """Two values of each four in the order of their places, zeros if fewer are not zero.

    `unpack` gives every bit back, but for a -0.0 that is left out and becomes +0.0. Raises `MethodError` if a row
    has a width that is not a multiple of four, or a group has more than two nonzero weights.
    """
    height, width = weight.shape
    if width % GROUP:
        raise MethodError(f"{where}: rows of {width} weights cannot be split into groups of {GROUP}")
    groups = weight.detach().reshape(height, width // GROUP, GROUP)
    over = crowded(weight)
    if over:
        raise MethodError(
            f"{where}: {over} of {height * width // GROUP} groups of {GROUP} have more than {KEPT} nonzero weights. "
            f"Prune to 2:4 first."
        )
    places = torch.argsort((groups == 0).to(torch.uint8), dim=-1, stable=True)[..., :KEPT].sort(dim=-1).values
    codes = (places[..., 0] | places[..., 1] << 2).to(torch.uint8).flatten()  # 4 bits per group
    codes = functional.pad(codes, (0, len(codes) % 2))
    return Packed(groups.gather(-1, places).reshape(height, width // 2), codes[0::2] | codes[1::2] << 4)


def unpack(packed: Packed) -> Tensor:
    """The matrix [rows, columns] that was packed."""
    height, half = packed.values.shape
    codes = torch.stack([packed.positions & 15, packed.positions >> 4], dim=-1).flatten()[: height * half // KEPT]
    places = torch.stack([codes & 3, codes >> 2], dim=-1).long().view(height, -1, KEPT)
    groups = packed.values.new_zeros(height, half // KEPT, GROUP)
    return groups.scatter(-1, places, packed.values.view(height, -1, KEPT)).view(height, 2 * half)


def crowded(weight: Tensor) -> int:
    """Groups of four along the rows of `weight` [rows, 4 n] with more than two weights that are not zero."""
    return int((weight.detach().reshape(-1, GROUP).count_nonzero(dim=-1) > KEPT).sum())


def lacking(device: torch.device | str) -> str | None:
    """What 2:4 kernels need and `device` has not; None if it has all."""
    target = torch.device(device)
    if target.type != "cuda":
        return f"a CUDA device of compute capability 8.0 or later (this is '{target.type}')"
    capability = torch.cuda.get_device_capability(target)
    if capability < LEAST_CAPABILITY:
        return f"compute capability 8.0 or later (this GPU has {capability[0]}.{capability[1]})"
    library = getattr(torch.backends, "cusparselt", None)
    if library is None or not library.is_available():
        return "a build of torch with cuSPARSELt"
    return None


@LAYER_KINDS.register("semi-structured-linear")
class SemiStructuredLinear(StoredLayer):
    """y = W x + bias with at most two of each four weights of a row not zero (Mishra et al. 2021, arXiv:2104.08378).

    The weights are float16, as the kernels take them: 2 bytes per kept weight and 2 bits for its place, 9/16 of the
    dense float16 matrix and 9/32 of the float32 one. On CUDA with sparse tensor cores the product is torch's
    `to_sparse_semi_structured`, whose compressed matrix is a second copy, never stored. Elsewhere the weights are
    unpacked for each call and multiplied dense in the dtype of the input, zeros and all: `kernel` then says
    `dequantized`, and only storage is saved.

    Args:
        in_features: width of the input, a multiple of four.
        out_features: width of the output.
        bias: whether a float32 bias [out_features] is added.

    Tensors: `values` float16 [out_features, in_features / 2], `positions` uint8 [ceil(out * in / 8)], see `Packed`,
    `bias` float32 or None. It passes no gradient on: in training mode, an input that wants one raises `MethodError`.
    """

    kind: ClassVar[str] = "semi-structured-linear"
    weight_bits: ClassVar[int] = 16
    activation_bits: ClassVar[int] = 16
    positions: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        if in_features % GROUP:
            raise MethodError(f"a 2:4 layer needs an input width that is a multiple of {GROUP}, found {in_features}")
        self.in_features = in_features
        self.out_features = out_features
        # Not called `weight`: what counts bytes takes that for one element a weight.
        halves = torch.zeros(out_features, in_features // 2, dtype=torch.float16)
        self.values = nn.Parameter(halves, requires_grad=False)
        self.register_buffer("positions", torch.zeros(-(-out_features * in_features // 8), dtype=torch.uint8))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)
        self._compressed: Tensor | None = None

    @classmethod
    def from_dense(cls, weight: Tensor, bias: Tensor | None, *, where: str = "matrix") -> SemiStructuredLinear:
        """The layer of `weight` [out, in], rounded to float16, and `bias` [out] or None.

        Raises `MethodError` if a weight is too large for float16, and as `pack` does.
        """
        halves = weight.detach().to(torch.float16)
        if not bool(halves.isfinite().all()):
            raise MethodError(f"{where}: a weight does not fit float16, whose largest number is 65504")
        packed = pack(halves, where=where)
        layer = cls(weight.shape[1], weight.shape[0], bias is not None)
        layer.values = nn.Parameter(packed.values.contiguous(), requires_grad=False)
        layer.positions = packed.positions
        layer.bias = None if bias is None else bias.detach().float().clone()
        return layer

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and inputs.requires_grad and torch.is_grad_enabled():
            raise MethodError("a 2:4 layer has no gradient. Train first and sparsify in the last stage")
        values = inputs.detach()
        if self._runs_dense():
            bias = None if self.bias is None else self.bias.to(values.dtype)
            return functional.linear(values, self.dense().to(values.dtype), bias)
        rows = values.reshape(-1, self.in_features).half()
        bias = None if self.bias is None else self.bias.half()
        product = functional.linear(rows, self._sparse(), bias).to(inputs.dtype)
        return product.reshape(*inputs.shape[:-1], self.out_features)

    @property
    def kernel(self) -> str:
        """What runs where the layer is now: sparse tensor cores, or `dequantized` (dense float arithmetic)."""
        return DEQUANTIZED if self._runs_dense() else "cusparselt 2:4"

    @override
    def dense(self) -> Tensor:
        return unpack(Packed(self.values.detach(), self.positions))

    @override
    def arguments(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}

    def macs(self, rows: int) -> int:
        """rows * in * out / 2 on sparse tensor cores, rows * in * out if the layer runs dense."""
        whole = rows * self.in_features * self.out_features
        return whole if self._runs_dense() else whole // 2

    def multiplied(self) -> tuple[Tensor, ...]:
        """The kept weights on sparse tensor cores, the whole matrix if the layer runs dense."""
        return (self.dense() if self._runs_dense() else self.values,)

    @override
    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, kernel={self.kernel}"

    def _runs_dense(self) -> bool:
        sides = self.in_features % SIDE or self.out_features % SIDE
        return bool(sides) or lacking(self.values.device) is not None

    def _sparse(self) -> Tensor:
        if self._compressed is None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=r"The PyTorch API of SparseSemiStructuredTensor")
                self._compressed = torch.sparse.to_sparse_semi_structured(self.dense())
        return self._compressed

    def _apply(self, *args: Any, **kwargs: Any) -> SemiStructuredLinear:
        self._compressed = None
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._compressed = None
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_compressed": None}
