"""A linear layer with int8 weights that runs on an integer kernel, its activations quantized row by row."""

from __future__ import annotations

import functools
import warnings
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from bench.base.errors import MethodError
from bench.layers.layer import DEQUANTIZED, LAYER_KINDS, StoredLayer

LARGEST = 127
# Fastest first. All three have 8-bit weights and 8-bit unsigned activations; qnnpack is the one built for ARM.
ENGINES = ("x86", "fbgemm", "qnnpack")


@LAYER_KINDS.register("int8-linear")
class Int8Linear(StoredLayer):
    """Weights in [-127, 127] with one scale per output channel; activations quantized at every call, row by row.

    Each row is divided by its largest magnitude before it is rounded and its outputs multiplied after, so a row of
    outliers costs the others no precision (token-wise quantization, Yao et al. 2022, arXiv:2206.01861). With one range
    for all rows the error of a MiniLM encoder's output was three times as large.

    On a CPU it runs torch's `quantized::linear_dynamic` with the weights packed at the first call, on CUDA
    `torch._int_mm`; elsewhere the weights are converted to float for each call, and `kernel` says so. Packed weights
    take the place of the plain ones in memory: `weight` is on the meta device among `buffers()` meanwhile, and whoever
    reads, moves, copies or saves it gets the plain integers back, to the bit. CPUs without VNNI instructions add
    products in 16 bits, which overflow for 8-bit activations; there the activations use 7 bits (`reduce_range`).

    Args:
        in_features: width of the input.
        out_features: width of the output.
        bias: whether a float32 bias [out_features] is added.

    Buffers: `weight` int8 [out_features, in_features], `scale` float32 [out_features], `bias` float32 or None; zero
    weights with scale one until they are filled. It passes no gradient on: in training mode, an input that wants one
    raises `MethodError`.
    """

    kind: ClassVar[str] = "int8-linear"
    weight_bits: ClassVar[int] = 8
    activation_bits: ClassVar[int] = 8
    has_integer_kernel: ClassVar[bool] = True
    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.register_buffer("weight", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(out_features))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)
        self._packed: Any = None

    @classmethod
    def from_float(cls, weight: Tensor, bias: Tensor | None) -> Int8Linear:
        """Round `weight` [out, in] to the symmetric grid whose largest step covers each channel's largest magnitude.

        A channel of zeros has scale one. Halves round to even.
        """
        values = weight.detach().float()
        largest = values.abs().amax(dim=1)
        scale = torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))  # [out]
        steps = torch.round(values / scale[:, None]).clamp(-LARGEST, LARGEST)
        return cls.from_steps(steps.to(torch.int8), scale, bias)

    @classmethod
    def from_steps(cls, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Int8Linear:
        """The layer of `weight` int8 [out, in], `scale` [out] and `bias` [out] or None, all copied."""
        layer = cls(weight.shape[1], weight.shape[0], bias is not None)
        layer.weight = weight.detach().to(torch.int8).clone().contiguous()
        layer.scale = scale.detach().float().clone()
        layer.bias = None if bias is None else bias.detach().float().clone()
        return layer

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and inputs.requires_grad and torch.is_grad_enabled():
            raise MethodError("an int8 layer has no gradient. Train first and quantize in the last stage")
        values = inputs.detach().float()
        if self.kernel == DEQUANTIZED:
            return functional.linear(values, self.dense(), self.bias).to(inputs.dtype)
        largest = values.abs().amax(dim=-1, keepdim=True).clamp_min_(torch.finfo(torch.float32).tiny)  # [..., 1]
        product = self._cuda(values / largest) if values.is_cuda else self._cpu(values / largest)
        # In place: another block of memory of this size costs a tenth of the product's time.
        outputs = (
            product.mul_(largest) if self.bias is None else torch.addcmul(self.bias, product, largest, out=product)
        )
        return outputs.to(inputs.dtype)

    @property
    def kernel(self) -> str:
        """What runs where the layer is now: an integer kernel by name, or `dequantized` (float arithmetic)."""
        device = self.scale.device.type  # reading `weight` would undo the packing
        engine = _engine(device)
        if engine is not None:
            return f"{engine} int8 ({7 if _reduce_range(engine) else 8}-bit activations)"
        if device == "cuda" and self.in_features % 8 == 0 and self.out_features % 8 == 0:
            return "cuda int8"
        return DEQUANTIZED

    @override
    def dense(self) -> Tensor:
        return self.weight.float() * self.scale[:, None]

    @override
    def arguments(self) -> dict[str, Any]:
        return {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}

    def macs(self, rows: int) -> int:
        """rows * in * out, as for the dense layer: only the operands are narrower."""
        return rows * self.in_features * self.out_features

    @override
    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, kernel={self.kernel}"

    def _cpu(self, values: Tensor) -> Tensor:
        """The product without bias of `values` in [-1, 1], by the packed kernel."""
        engine = cast(str, _engine("cpu"))  # else `kernel` would have said that there is none
        packed = self._only_packed(engine, None)
        return torch.ops.quantized.linear_dynamic(values, packed, _reduce_range(engine))  # type: ignore[no-any-return]

    def _only_packed(self, engine: str, bias: Tensor | None) -> Any:
        """The weights in the layout of `engine`, instead of the plain ones if these can be restored exactly."""
        if self._packed is None:
            weight = self.weight
            self._packed = _pack(engine, weight, self.scale, bias)
            if torch.equal(_unpack(self._packed), weight):
                self._buffers["weight"] = weight.to("meta")
        return self._packed

    def _only_plain(self) -> None:
        """Replace the packed weights by the plain ones."""
        packed = self.__dict__.get("_packed")
        held = self._buffers.get("weight")
        if packed is not None and held is not None and held.is_meta:
            self._buffers["weight"] = _unpack(packed)
        self.__dict__["_packed"] = None

    def __getattr__(self, name: str) -> Any:
        if name == "weight":
            self._only_plain()
        return super().__getattr__(name)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._only_plain()
        super()._save_to_state_dict(*args, **kwargs)

    def _cuda(self, values: Tensor) -> Tensor:
        """The same in 8-bit steps of 1/127 on the tensor cores, which want more than 16 rows."""
        steps = torch.round(values.reshape(-1, self.in_features) * LARGEST).to(torch.int8)
        padded = functional.pad(steps, (0, 0, 0, max(0, 17 - len(steps))))
        sums = torch._int_mm(padded, self.weight.t())[: len(steps)]  # int32 [rows, out]
        return (sums.float() * (self.scale / LARGEST)).reshape(*values.shape[:-1], self.out_features)

    def _apply(self, *args: Any, **kwargs: Any) -> Int8Linear:
        self._only_plain()
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._only_plain()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        self._only_plain()
        return dict(self.__dict__)


@functools.cache
def _engine(device: str) -> str | None:
    """The fastest integer engine of this build of torch; None if there is none, as off the CPU."""
    if device != "cpu" or not hasattr(torch, "_make_per_channel_quantized_tensor"):
        return None
    return next((name for name in ENGINES if name in torch.backends.quantized.supported_engines), None)


@functools.cache
def _reduce_range(engine: str) -> bool:
    """Whether full 8-bit activations overflow on this CPU, found by one product whose sums are the largest."""
    if engine == "qnnpack":
        return False
    weight = torch.full((8, 64), LARGEST, dtype=torch.int8)
    packed = _pack(engine, weight, torch.ones(8))
    inputs = torch.ones(1, 64)
    found = torch.ops.quantized.linear_dynamic(inputs, packed, False)
    return bool((found - 64.0 * LARGEST).abs().max() > LARGEST)


def input_bits() -> int:
    """Bits that the CPU's kernel leaves to an input: 7 if full ones overflow, see `Int8Linear`."""
    engine = _engine("cpu")
    return 7 if engine is not None and _reduce_range(engine) else 8


def _pack(engine: str, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    """Weights in the layout of `engine`; the process-wide choice of engine is left as it was."""
    before = torch.backends.quantized.engine
    zeros = torch.zeros(len(scale), dtype=torch.long)
    with warnings.catch_warnings():
        # torch 2.13 announces that the qint8 dtype will go; the packed kernels still take nothing else.
        warnings.filterwarnings("ignore", message=r"torch\.quantize_per_tensor", category=UserWarning)
        torch.backends.quantized.engine = engine
        try:
            quantized = torch._make_per_channel_quantized_tensor(weight, scale.double(), zeros, 0)
            return torch.ops.quantized.linear_prepack(quantized, bias)
        finally:
            torch.backends.quantized.engine = before


def _unpack(packed: Any) -> Tensor:
    """The int8 weights of any engine's layout."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"torch\.quantize_per_tensor", category=UserWarning)
        steps: Tensor = torch.ops.quantized.linear_unpack(packed)[0].int_repr()
    return steps.contiguous()
