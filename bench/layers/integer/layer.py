"""An encoder in integers only: its linear map and layer norm, a layer of them, and the stack of layers."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError, ModelError
from bench.layers.integer.arithmetic import (
    NORMALIZED_BITS,
    Requantize,
    dyadic,
    half_up,
    i_gelu,
    i_normalize,
    i_softmax,
    integer_matmul,
)
from bench.layers.layer import LAYER_KINDS, StoredModule, StoredStack

LARGEST = 127
WIDEST = 4096  # what `i_normalize` has the bits for
_MOST_BIAS = 2**30
_MOST_NORM_SHIFT = 48
_MOST_NORM_BIAS = 2**13  # in steps of the 8-bit output, of which all but 2^7 are clipped
SPREAD = 2**8  # between the largest and the smallest scale of a matrix
_SCALE_OF_ZEROS = 2.0**-12  # of a matrix in which nothing tells one


class IntegerLinear(nn.Module):
    """A product of int8 with int8 in int32, an int32 bias in the scale of the sums, then one dyadic number per channel.

    Buffers: `weight` int8 [out_features, in_features], `bias` int32 [out_features], and those of `to_next`. Sums are
    exact: of fewer than 2^16 products of 15 bits.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("bias", torch.zeros(out_features, dtype=torch.int32))
        self.to_next = Requantize(out_features)

    def set(self, weight: Tensor, scale: Tensor, bias: Tensor | None, *, given: float, wanted: float) -> None:
        """Take the steps `weight` int8 [out, in] of `scale` [out], held and not copied, and `bias` [out] or None.

        Args:
            weight: see `rounded`.
            scale: see `rounded`.
            bias: of the float layer.
            given: the scale of the inputs.
            wanted: the scale of the outputs.

        Raises `MethodError` if a bias does not fit in 31 bits.
        """
        sums = scale.double() * given
        self.weight = weight
        if bias is None:
            self.bias = torch.zeros_like(self.bias, device=weight.device)
        else:
            steps = torch.round(bias.detach().double() / sums)
            if not float(steps.abs().max()) < _MOST_BIAS:
                raise MethodError(f"integer: a bias of {float(steps.abs().max()):g} steps of its sums, above 2^30")
            self.bias = steps.to(torch.int32)
        self.to_next.set(sums / wanted)

    def forward(self, inputs: Tensor, *, limit: int) -> Tensor:
        """int8 [..., in_features] to int64 [..., out_features] in [-limit, limit]."""
        sums = integer_matmul(inputs, self.weight.t()) + self.bias
        wide: Tensor = self.to_next(sums, limit=limit)
        return wide


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """`weight` [out, in] on a symmetric grid of [-127, 127] a channel, int8, and the scales [out], float64.

    No scale is below 2^-8 of the largest: the bias of a pruned channel must fit in 32 bits as a multiple of its scale.
    """
    values = weight.detach().double()
    scale = values.abs().amax(dim=1) / LARGEST
    scale = scale.clamp_min(float(scale.max()) / SPREAD or _SCALE_OF_ZEROS)
    return torch.round(values / scale[:, None]).to(torch.int8), scale


class IntegerNorm(nn.Module):
    """`i_normalize`, then gamma, beta and the change of scale as one integer product, one sum and one shift.

    Buffers: `weight` int32 [width], `bias` int64 [width] in steps of 2^-shift, `shift` int64 [] and `epsilon`
    int64 []. Raises `MethodError` for a width above 4096.
    """

    weight: Tensor
    bias: Tensor
    shift: Tensor
    epsilon: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        if width > WIDEST:
            raise MethodError(f"integer: a layer norm of width {width}; its 32-bit sums allow at most {WIDEST}")
        self.register_buffer("weight", torch.zeros(width, dtype=torch.int32))
        self.register_buffer("bias", torch.zeros(width, dtype=torch.int64))
        self.register_buffer("shift", torch.ones((), dtype=torch.int64))
        self.register_buffer("epsilon", torch.zeros((), dtype=torch.int64))

    def set(self, norm: nn.LayerNorm, *, given: float, wanted: float) -> None:
        """Do what `norm` does, from inputs of scale `given` to outputs of scale `wanted`."""
        width = norm.normalized_shape[0]
        gamma = norm.weight.detach().double()
        ratios = gamma * math.sqrt(width) / 2**NORMALIZED_BITS / wanted
        self.weight, self.shift = dyadic(ratios, most_shift=_MOST_NORM_SHIFT)
        beta = torch.zeros_like(gamma) if norm.bias is None else norm.bias.detach().double()
        steps = (beta / wanted).clamp(-_MOST_NORM_BIAS, _MOST_NORM_BIAS)
        self.bias = torch.round(steps * 2.0 ** int(self.shift)).long()
        epsilon = min(round(width * norm.eps / given**2), 2**61)
        self.epsilon = torch.tensor(epsilon, dtype=torch.int64, device=gamma.device)

    def forward(self, inputs: Tensor) -> Tensor:
        """Integers of at most 25 bits [..., width] to int8."""
        affine = i_normalize(inputs, self.epsilon) * self.weight + self.bias
        return half_up(affine, self.shift).clamp(-LARGEST, LARGEST).to(torch.int8)


Activation = Literal["gelu", "relu"]

FINE_SCALE = 2.0**-12  # of attention scores and of what the activation is given
RESIDUAL_BITS = 12  # by which the sum before a layer norm is finer than the state that is added
_MOST_SCORE = 2**30
_MOST_INNER = 2**19
_MOST_SUM = 2**24


@LAYER_KINDS.register("integer-layer")
class IntegerLayer(StoredModule):
    """A post-norm encoder layer of I-BERT (Kim et al. 2021, arXiv:2101.01321, Figure 1).

    Linear maps, scores and context are products of 8-bit operands with 32-bit sums; attention weights are unsigned.
    States, queries, keys, values, contexts and the activation's outputs are int8 with one scale per tensor, fixed at
    conversion; scores and the activation's inputs are int32 in steps of 2^-12; what a layer norm is given is of 25
    bits, in steps 2^12 finer than the state that is added. Every scale is in an integer: a dyadic multiplier, a bias
    in the scale of its sums, or a constant of a polynomial.

    Args:
        width: of the states.
        heads: attention heads, at least 1.
        head_width: of one head.
        inner: width of the MLP.
        activation: "gelu" or "relu".

    All tensors are zero until they are filled, see `bench.layers.integer.convert`.
    """

    kind: ClassVar[str] = "integer-layer"
    exp_constants: Tensor
    gelu_constants: Tensor

    def __init__(self, width: int, heads: int, head_width: int, inner: int, activation: Activation = "gelu") -> None:
        super().__init__()
        self.width, self.heads, self.head_width, self.inner = width, heads, head_width, inner
        self.activation = activation
        attention = heads * head_width
        self.query = IntegerLinear(width, attention)
        self.key = IntegerLinear(width, attention)
        self.value = IntegerLinear(width, attention)
        self.scores = Requantize()
        self.context = Requantize()
        self.attention_output = IntegerLinear(attention, width)
        self.attention_norm = IntegerNorm(width)
        self.ffn_in = IntegerLinear(width, inner)
        self.activated = Requantize()
        self.ffn_out = IntegerLinear(inner, width)
        self.output_norm = IntegerNorm(width)
        self.register_buffer("exp_constants", torch.ones(3, dtype=torch.int64))
        self.register_buffer("gelu_constants", torch.ones(2, dtype=torch.int64))

    def forward(self, states: Tensor, seen: Tensor | None = None) -> Tensor:
        """int8 [batch, length, width] to the same.

        Args:
            states: in the scale that the layer was converted for.
            seen: whether each query may attend to each key, bool [batch, 1, 1 or length, length]; None is all.
        """
        attended: Tensor = self.attention_norm(_with_residual(self._attention(states, seen), states))
        inner = self.ffn_in(attended, limit=_MOST_INNER)
        inner = i_gelu(inner, self.gelu_constants) if self.activation == "gelu" else inner.clamp(min=0)
        inner = self.activated(inner, limit=LARGEST).to(torch.int8)
        outputs: Tensor = self.output_norm(_with_residual(self.ffn_out(inner, limit=_MOST_SUM), attended))
        return outputs

    def _attention(self, states: Tensor, seen: Tensor | None) -> Tensor:
        query, key, value = (
            self._by_head(linear(states, limit=LARGEST).to(torch.int8)) for linear in (self.query, self.key, self.value)
        )
        scores = self.scores(integer_matmul(query, key.transpose(-1, -2)), limit=_MOST_SCORE)
        weights = i_softmax(scores, seen, self.exp_constants)  # uint8 [batch, heads, length, length]
        context = self.context(integer_matmul(weights, value), limit=LARGEST).to(torch.int8)
        outputs: Tensor = self.attention_output(context.transpose(1, 2).flatten(2), limit=_MOST_SUM)
        return outputs

    def _by_head(self, values: Tensor) -> Tensor:
        """[batch, length, heads * head_width] to [batch, heads, length, head_width]."""
        return values.reshape(*values.shape[:-1], self.heads, self.head_width).transpose(1, 2)

    @property
    def kernel(self) -> str:
        """What multiplies where the layer is now."""
        return "cuda int8" if self.exp_constants.is_cuda else "int32 of 8-bit operands"

    def macs(self, batch: int, length: int) -> int:
        """Multiply-adds of 8-bit operands for `batch` inputs of `length` tokens: those of the float layer."""
        attention = self.heads * self.head_width
        tokens = batch * length
        return tokens * (4 * self.width * attention + 2 * self.width * self.inner) + 2 * tokens * length * attention

    @override
    def arguments(self) -> dict[str, Any]:
        return {
            "width": self.width,
            "heads": self.heads,
            "head_width": self.head_width,
            "inner": self.inner,
            "activation": self.activation,
        }

    @override
    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.arguments().items())


def _with_residual(values: Tensor, states: Tensor) -> Tensor:
    """The sum in the scale of `values`, which is 2^-12 of that of `states`."""
    return values + (states.long() << RESIDUAL_BITS)


@LAYER_KINDS.register("integer-stack")
class IntegerStack(StoredStack):
    """Layers of `IntegerLayer` between one quantization and one dequantization.

    `first_scale` and `last_scale`, float32 [], are the only floating-point tensors. Embeddings before and heads after
    it stay in floating point. In training mode, states that want a gradient raise `MethodError`.
    """

    kind: ClassVar[str] = "integer-stack"
    first_scale: Tensor
    last_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("first_scale", torch.ones(()))
        self.register_buffer("last_scale", torch.ones(()))

    @override
    def arguments(self) -> dict[str, Any]:
        return {}

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Run the stack; the mask is the first of the further arguments, as in every supported encoder."""
        if self.training and hidden.requires_grad and torch.is_grad_enabled():
            raise MethodError("an integer encoder has no gradient. Train first and use integer in the last stage")
        seen = seen_of(args[0] if args else kwargs.get("attention_mask"))
        states = quantized(hidden.detach(), self.first_scale)
        return dequantized(self.in_integers(states, seen), self.last_scale).to(hidden.dtype)

    @override
    def portable(self) -> nn.Module:
        raise MethodError(
            "an encoder in integers only runs products of integers that no runtime here takes over. Export the model "
            "before it is turned into integers, and let the runtime quantize it (quantize = 'static')"
        )

    def in_integers(self, states: Tensor, seen: Tensor | None) -> Tensor:
        """int8 [batch, length, width] through the layers, with no floating point; `seen` as in `IntegerLayer`."""
        for layer in self._modules.values():
            if layer is not None:
                states = layer(states, seen)
        return states

    def macs(self, batch: int, length: int) -> int:
        """Multiply-adds of 8-bit operands for `batch` inputs of `length` tokens."""
        layers = (layer for layer in self._modules.values() if isinstance(layer, IntegerLayer))
        return sum(layer.macs(batch, length) for layer in layers)


def quantized(hidden: Tensor, scale: Tensor) -> Tensor:
    """int8 nearest to hidden / scale, in [-127, 127]."""
    return torch.round(hidden / scale).clamp(-LARGEST, LARGEST).to(torch.int8)


def dequantized(states: Tensor, scale: Tensor) -> Tensor:
    """The float32 numbers that integers stand for."""
    return states.float() * scale


def seen_of(mask: Any) -> Tensor | None:
    """Which keys a query sees, bool [batch, 1, 1 or length, length], of the mask that an encoder hands its layers.

    Masks are bool, or numbers that are added to the scores (0 where seen), or 1 and 0 a token [batch, length].
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.dim() not in (2, 4):
        raise ModelError(f"an integer encoder needs masks of 2 or 4 dimensions, found {type(mask).__name__}")
    if mask.dim() == 2:
        return (mask > 0)[:, None, None, :]
    return mask if mask.dtype == torch.bool else mask > -1.0
