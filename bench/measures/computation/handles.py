"""fvcore's operator handles of this project: they read shapes, stored weights and bit widths off a traced graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from bench.base.errors import BenchError
from bench.measures.computation.operators import (
    LIGHT,
    RECURRENT,
    SUMMED,
    Operation,
    attention_layer_macs,
    attention_macs,
    convolution_macs,
    einsum_macs,
    path_of,
)
from bench.measures.computation.stored_values import StoredValues

if TYPE_CHECKING:
    from torch import Tensor

    from bench.layers.layer import StoredLayer

Handle = Callable[[list[Any], list[Any]], int]
Formula = Callable[[list[Any], list[Any]], Operation]


class UncountableError(BenchError):
    """An operator with a handle met operands that the handle cannot count; the text says of which sort."""


class Handles:
    """fvcore handles that keep every heavy operator call of one trace.

    `operations` are the calls that could be counted, `uncounted` how often each other heavy operator of this table ran.

    Args:
        stored: finds the stored tensor behind a traced value.
        paths: module paths by the number that their scope carries.
        layers: the packed layers by the number that their stand-in operator carries.
        stand_in: name of that operator; its arguments are the input [..., in], the number and the output width.
    """

    def __init__(
        self, stored: StoredValues, *, paths: Sequence[str], layers: Sequence[StoredLayer], stand_in: str
    ) -> None:
        self.operations: list[Operation] = []
        self.uncounted: Counter[str] = Counter()
        self._stored = stored
        self._paths = paths
        self._layers = layers
        self._stand_in = stand_in

    def table(self) -> dict[str, Handle | None]:
        """Handles by operator name; None marks operators that cost nothing by the project's convention."""
        formulas: dict[str, Formula] = {name: self._product(index) for name, index in SUMMED.items()}
        formulas |= dict.fromkeys(RECURRENT, self._recurrent)
        formulas |= {
            "aten::einsum": self._einsum,
            "aten::_convolution": self._convolution,
            "aten::_convolution_mode": self._convolution,
            "aten::scaled_dot_product_attention": self._attention,
            "aten::_native_multi_head_attention": self._fused_attention,
            "aten::_transformer_encoder_layer_fwd": self._fused_layer,
            self._stand_in: self._packed,
        }
        return {**dict.fromkeys(LIGHT), **{name: self._keeping(name, formula) for name, formula in formulas.items()}}

    def _keeping(self, name: str, formula: Formula) -> Handle:
        def handle(inputs: list[Any], outputs: list[Any]) -> int:
            try:
                operation = formula(inputs, outputs)
            except UncountableError as reason:
                self.uncounted[f"{name} of {reason}"] += 1
                return 0
            module = path_of(outputs[0].node(), self._paths)
            operation = operation._replace(operator=operation.operator or name, module=module)
            self.operations.append(operation)
            return operation.macs

        return handle

    def _product(self, summed: int) -> Formula:
        def formula(inputs: list[Any], outputs: list[Any]) -> Operation:
            left, right = inputs[summed], inputs[summed + 1]
            return self._of_two(prod(_shape(outputs[0])) * _shape(left)[-1], left, right)

        return formula

    def _recurrent(self, inputs: list[Any], outputs: list[Any]) -> Operation:
        """Steps times the elements of the weight matrices: for an LSTM 4h(in + h) a step, layer and direction.

        A packed sequence comes as [all steps of all rows, in], so only real steps are counted.
        """
        lists = [value for value in inputs if value.node().kind() == "prim::ListConstruct"]
        matrices = [value for value in lists[-1].node().inputs() if len(_shape(value)) == 2]
        macs = prod(_shape(inputs[0])[:-1]) * sum(prod(_shape(value)) for value in matrices)
        return _operation(macs, inputs[0], matrices[0], self._together(matrices))

    def _attention(self, inputs: list[Any], outputs: list[Any]) -> Operation:
        query, key, value = inputs[:3]
        _shape(value)
        macs = attention_macs(_shape(outputs[0]), keys=_shape(key)[-2], key_width=_shape(query)[-1])
        return _operation(macs, query, key, ())

    def _fused_attention(self, inputs: list[Any], outputs: list[Any]) -> Operation:
        """The fast path of `nn.MultiheadAttention`: query, key, value [batch, tokens, width] and packed weights."""
        batch, tokens, width = _three(inputs[0])
        linear, attention = attention_layer_macs(batch * tokens, tokens, width)
        weights = [inputs[5], inputs[7]]
        return _operation(linear + attention, inputs[0], weights[0], self._together(weights), attention)

    def _fused_layer(self, inputs: list[Any], outputs: list[Any]) -> Operation:
        """The fast path of `nn.TransformerEncoderLayer`: source [batch, tokens, width] and every weight of it."""
        batch, tokens, width = _three(inputs[0])
        linear, attention = attention_layer_macs(batch * tokens, tokens, width)
        linear += batch * tokens * (prod(_shape(inputs[14])) + prod(_shape(inputs[16])))
        weights = [inputs[3], inputs[5], inputs[14], inputs[16]]
        return _operation(linear + attention, inputs[0], weights[0], self._together(weights), attention)

    def _einsum(self, inputs: list[Any], outputs: list[Any]) -> Operation:
        operands = list(inputs[1].node().inputs())
        equation, path = self._stored.constant(inputs[0]), self._stored.constant(inputs[2])
        macs = einsum_macs(equation, [_shape(value) for value in operands], path)
        return self._of_two(macs, operands[0], operands[-1], *operands[1:-1])

    def _convolution(self, inputs: list[Any], outputs: list[Any]) -> Operation:
        transposed = len(inputs) > 7 and bool(self._stored.constant(inputs[6]))
        shapes = (_shape(inputs[0]), _shape(inputs[1]), _shape(outputs[0]))
        operation = self._of_two(convolution_macs(*shapes, transposed=transposed), inputs[0], inputs[1])
        return operation._replace(operator="aten::convolution")

    def _packed(self, inputs: list[Any], outputs: list[Any]) -> Operation:
        """The layer's own count; its bit widths are those of the kernel that really runs."""
        layer = self._layers[int(self._stored.constant(inputs[1]))]
        macs = layer.macs(prod(_shape(inputs[0])[:-1]))
        weight_bits, activation_bits = layer.operand_bits
        return Operation(
            operator=layer.kind,
            module="",
            macs=macs,
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            weights=(layer.multiplied(),),
        )

    def _of_two(self, macs: int, left: Any, right: Any, *more: Any) -> Operation:
        """A product of operands of which any may be stored; the first stored one is the weight, for the bit widths."""
        operands = [left, *more, right]
        found = [(value, tensor) for value in operands if (tensor := self._stored.tensor(value)) is not None]
        weight = found[0][0] if found else right
        activation = next((value for value in operands if value is not weight), left)
        return _operation(macs, activation, weight, tuple((tensor,) for _, tensor in found))

    def _together(self, values: Sequence[Any]) -> tuple[tuple[Tensor, ...], ...]:
        """One group of the stored tensors behind `values`; none if one of them is computed while the model runs."""
        found = tuple(tensor for value in values if (tensor := self._stored.tensor(value)) is not None)
        return (found,) if len(found) == len(values) else ()


def _operation(
    macs: int, activation: Any, weight: Any, weights: tuple[tuple[Tensor, ...], ...], activation_macs: int = 0
) -> Operation:
    return Operation("", "", macs, _bits(weight), _bits(activation), weights, activation_macs)


def _shape(value: Any) -> list[int]:
    """Sizes of a traced tensor; the tracer knows none for sparse and nested ones."""
    kind = value.type()
    sizes = kind.sizes() if kind.kind() == "TensorType" else None
    if sizes is None:
        raise UncountableError("a tensor without a dense shape")
    return list(sizes)


def _three(value: Any) -> tuple[int, int, int]:
    first, second, third = _shape(value)
    return first, second, third


def _bits(value: Any) -> int:
    _shape(value)
    dtype = value.type().dtype()
    if dtype.is_complex:
        raise UncountableError("complex numbers, whose products consist of several real products")
    return int(dtype.itemsize) * 8
