"""What each traced operator costs in multiply-adds: the project's own operator handles for fvcore.

Convention: one multiply-add is 1 MAC. Products count: linear maps, matrix products, attention products, convolutions,
recurrent cells. Everything element by element counts 0, norms, activations, softmax, biases and look-ups included;
fvcore itself would add five "flops" an element for layer norm and nothing for softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.layer import StoredLayer

Handle = Callable[[list[Any], list[Any]], int]

FLOAT_BITS = 32

# The operand whose last axis is summed over, by operator: MACs = elements of the output * length of that axis.
_SUMMED = {
    "aten::linear": 0,
    "aten::matmul": 0,
    "aten::mm": 0,
    "aten::bmm": 0,
    "aten::mv": 0,
    "aten::dot": 0,
    "aten::addmm": 1,
    "aten::baddbmm": 1,
}
_RECURRENT = ("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu")
_RESHAPING = {"aten::t", "aten::transpose", "aten::permute", "aten::detach", "aten::contiguous", "aten::to"}

# Operators without products, beyond those that fvcore ignores: 0 MACs by the convention above. An operator that is in
# neither place is taken to be heavy, so that a total is never too small without saying so.
_LIGHT_NAMES = """
    abs add add_ alias all amax amin any argmax argmin batch_norm bitwise_and bitwise_or clamp_max clamp_min clone cos
    cumsum detach_ diff dim div div_ embedding empty_like erf exp expand_as fill_ floor_ full_like gelu gelu_ group_norm
    hardtanh index_select instance_norm is_nonzero isinf isnan item layer_norm le leaky_relu lift_fresh
    linalg_vector_norm log log_softmax logical_and logical_not logical_or lt masked_fill_ maximum mean min minimum
    movedim mul mul_ ne neg new_ones norm numel numpy_T one_hot ones_like pad pow prelu reciprocal relu6 repeat
    repeat_interleave resolve_conj resolve_neg rms_norm round rsqrt rsub scalar_tensor scatter sigmoid sign silu sin
    softmax softplus sort sqrt sub sub_ sum swapaxes tanh tanh_ tensor_split tile topk tril triu unflatten unfold var
    view_as where zero_ Bool Float FloatImplicit IntImplicit __or__ __xor__
"""
LIGHT = tuple(f"aten::{name}" for name in _LIGHT_NAMES.split())


class Operation(NamedTuple):
    """One call of a heavy operator; `weights` are the stored tensors it multiplies by, none for two activations."""

    operator: str
    macs: int
    weight_bits: int
    activation_bits: int
    weights: tuple[Tensor, ...]


class Handles:
    """fvcore handles that keep every heavy operator call of one trace in `operations`.

    Args:
        state: the traced module's tensors in the order in which the trace takes them as inputs.
        inputs: how many inputs the trace has before these.
        layers: the packed layers by the number that their stand-in operator carries.
        stand_in: name of that operator; its arguments are the input [..., in], the number and the output width.
    """

    def __init__(self, state: Sequence[Tensor], *, inputs: int, layers: Sequence[StoredLayer], stand_in: str) -> None:
        self.operations: list[Operation] = []
        self._state = state
        self._inputs = inputs
        self._layers = layers
        self._stand_in = stand_in

    def table(self) -> dict[str, Handle | None]:
        """Handles by operator name; None marks operators that cost nothing by the project's convention."""
        own: dict[str, Handle | None] = dict.fromkeys(LIGHT)
        own |= {name: self._product(name, index) for name, index in _SUMMED.items()}
        own |= {name: self._recurrent(name) for name in _RECURRENT}
        own |= {"aten::einsum": self._einsum, "aten::_convolution": self._convolution}
        own |= {"aten::scaled_dot_product_attention": self._attention, self._stand_in: self._packed}
        return own

    def _product(self, name: str, summed: int) -> Handle:
        def handle(inputs: list[Any], outputs: list[Any]) -> int:
            left, right = inputs[summed], inputs[summed + 1]
            return self._keep(name, prod(_shape(outputs[0])) * _shape(left)[-1], left, [right])

        return handle

    def _recurrent(self, name: str) -> Handle:
        """Steps times the elements of the weight matrices: for an LSTM 4h(in + h) a step, layer and direction."""

        def handle(inputs: list[Any], outputs: list[Any]) -> int:
            lists = [value for value in inputs if value.node().kind() == "prim::ListConstruct"]
            matrices = [value for value in lists[-1].node().inputs() if len(_shape(value)) == 2]
            steps = prod(_shape(inputs[0])[:-1])
            return self._keep(name, steps * sum(prod(_shape(value)) for value in matrices), inputs[0], matrices)

        return handle

    def _attention(self, inputs: list[Any], outputs: list[Any]) -> int:
        """Both products of [..., queries, key width], [..., keys, key width] and [..., keys, value width]."""
        query, key, value = inputs[:3]
        keys = _shape(key)[-2]
        macs = prod(_shape(query)) * keys + prod(_shape(query)[:-1]) * keys * _shape(value)[-1]
        return self._keep("aten::scaled_dot_product_attention", macs, query, [key])

    def _einsum(self, inputs: list[Any], outputs: list[Any]) -> int:
        """fvcore's count, halved products of numpy's best contraction order."""
        from fvcore.nn.jit_handles import einsum_flop_jit

        operands = list(inputs[1].node().inputs())
        return self._keep("aten::einsum", int(einsum_flop_jit(inputs, outputs)), operands[0], operands[1:])

    def _convolution(self, inputs: list[Any], outputs: list[Any]) -> int:
        from fvcore.nn.jit_handles import conv_flop_jit

        macs = int(sum(conv_flop_jit(inputs, outputs).values()))
        return self._keep("aten::_convolution", macs, inputs[0], [inputs[1]])

    def _packed(self, inputs: list[Any], outputs: list[Any]) -> int:
        """The layer's own count; its bit widths are those of the kernel that really runs."""
        layer = self._layers[int(inputs[1].toIValue())]
        macs = layer.macs(prod(_shape(inputs[0])[:-1]))
        weights = tuple(tensor for tensor in layer.state_dict().values() if tensor.dim() >= 2)
        as_float = runs_as_float(layer)
        weight_bits = FLOAT_BITS if as_float else layer.weight_bits
        activation_bits = FLOAT_BITS if as_float else layer.activation_bits
        self.operations.append(Operation(layer.kind, macs, weight_bits, activation_bits, weights))
        return macs

    def _keep(self, name: str, macs: int, activation: Any, others: Sequence[Any]) -> int:
        weights = tuple(tensor for tensor in map(self._stored, others) if tensor is not None)
        bits = _bits(others[0]) if others else _bits(activation)
        self.operations.append(Operation(name, macs, bits, _bits(activation), weights))
        return macs

    def _stored(self, value: Any) -> Tensor | None:
        """The stored tensor behind a traced value, seen through transpositions; None for a computed value."""
        node = value.node()
        while node.kind() in _RESHAPING:
            value = next(node.inputs())
            node = value.node()
        if node.kind() != "prim::Param":
            return None
        place = [parameter.debugName() for parameter in node.outputs()].index(value.debugName()) - self._inputs
        return self._state[place] if place >= 0 else None


def runs_as_float(layer: StoredLayer) -> bool:
    """Whether the layer has no integer kernel here and turns its weights back to float at every call."""
    from bench.layers.int8 import DEQUANTIZED

    return getattr(layer, "kernel", None) == DEQUANTIZED


def _shape(value: Any) -> list[int]:
    """Sizes of a traced tensor."""
    return list(value.type().sizes())


def _bits(value: Any) -> int:
    return int(value.type().dtype().itemsize) * 8
