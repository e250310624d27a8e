"""An encoder layer in integers only: int8 states in, int8 states out, no floating point between them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from bench.layers.integer.dyadic import Requantize
from bench.layers.integer.functions import i_gelu, i_softmax
from bench.layers.integer.matmul import integer_matmul
from bench.layers.integer.parts import LARGEST, IntegerLinear, IntegerNorm
from bench.layers.layer import LAYER_KINDS, StoredModule

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
    States, queries, keys, values, contexts and the activation's outputs are int8 with one scale a tensor, fixed at
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

    def arguments(self) -> dict[str, Any]:
        """Widths, heads and the activation."""
        return {
            "width": self.width,
            "heads": self.heads,
            "head_width": self.head_width,
            "inner": self.inner,
            "activation": self.activation,
        }

    def extra_repr(self) -> str:
        """What `print(model)` shows of the layer."""
        return ", ".join(f"{name}={value}" for name, value in self.arguments().items())


def _with_residual(values: Tensor, states: Tensor) -> Tensor:
    """The sum in the scale of `values`, which is 2^-12 of that of `states`."""
    return values + (states.long() << RESIDUAL_BITS)
