"""What an OpenVINO graph stores and multiplies, by its own operators for inputs of a stated shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

from bench.runtimes.openvino_files import read
from bench.runtimes.operators import Elements, GraphOperators, GraphProduct, StoredNumbers
from bench.runtimes.runtime import Files

_FLOATS = ("f32", "f16", "bf16", "f64")
_NARROW = {"i8": 8, "u8": 8, "i4": 4, "u4": 4}
# What may stand between a stored tensor and the operator that uses it, and still hands its elements on.
_VIEWS = ("Convert", "Multiply", "Subtract", "Transpose", "Reshape", "FakeQuantize", "Unsqueeze", "Squeeze")
_FEW_LEVELS = 256  # of a FakeQuantize whose numbers are codes of 8 bits


def operators(files: Files, *, rows: int, length: int) -> GraphOperators:
    """What the graph stores, and what it multiplies for inputs [rows, length]; see `GraphRuntime.operators`."""
    model = read(files)
    model.reshape({port.any_name: [rows, length] for port in model.inputs})
    nodes = list(model.get_ordered_ops())
    products, uncounted = (
        [],
        Counter(kind for node in nodes if (kind := node.get_type_name()) not in _FORMULAS and kind not in _LIGHT),
    )
    for node in nodes:
        formula = _FORMULAS.get(node.get_type_name())
        if formula is not None:
            products.append(_product(node, formula(node)))
    constants = [node for node in nodes if node.get_type_name() == "Constant"]
    stored = tuple(_stored(node) for node in constants if _is_weight(node))
    whole = sum(node.get_byte_size() for node in constants)
    return GraphOperators(
        products=tuple(products),
        uncounted=dict(uncounted),
        stored=stored,
        side_bytes=whole - sum(each.bytes for each in stored),
    )


def _shape(node: Any, place: int) -> tuple[int, ...]:
    return tuple(map(int, node.input(place).get_shape()))


def _matmul(node: Any) -> int:
    """Elements of the output times the length of the axis that is summed over."""
    left = _shape(node, 0)
    turned = bool(node.get_attributes().get("transpose_a")) and len(left) > 1
    return prod(map(int, node.output(0).get_shape())) * left[-2 if turned else -1]


def _attention(node: Any) -> int:
    """Both products: output [..., queries, value width], each query with every key."""
    output = tuple(map(int, node.output(0).get_shape()))
    query, key = _shape(node, 0), _shape(node, 1)
    return prod(output[:-1]) * key[-2] * (query[-1] + output[-1])


def _convolution(node: Any) -> int:
    output = tuple(map(int, node.output(0).get_shape()))
    return output[0] * prod(output[2:]) * prod(_shape(node, 1))


def _sequence(node: Any) -> int:
    """Steps and rows times the elements of both matrices; the input is [rows, steps, width]."""
    rows, steps, _ = _shape(node, 0)
    first = 4 if node.get_type_name() == "LSTMSequence" else 3
    return rows * steps * (prod(_shape(node, first)) + prod(_shape(node, first + 1)))


_FORMULAS: Mapping[str, Callable[[Any], int]] = {
    "MatMul": _matmul,
    "ScaledDotProductAttention": _attention,
    "Convolution": _convolution,
    "GroupConvolution": _convolution,
    "LSTMSequence": _sequence,
    "GRUSequence": _sequence,
    "RNNSequence": _sequence,
}
# Operators without summed products. One that is in neither table may be heavy, so it is called uncounted.
_LIGHT_NAMES = """
    Abs Add Assign AvgPool BatchNormInference BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Broadcast Bucketize Ceiling
    Clamp Concat Constant Convert ConvertLike ConvertPromoteTypes Cos CumSum Divide Elu Equal Erf Exp FakeQuantize
    Floor FloorMod Gather GatherElements GatherND Gelu Greater GreaterEqual GroupNormalization HardSigmoid HSigmoid
    HSwish Less LessEqual Log LogSoftmax LogicalAnd LogicalNot LogicalOr LogicalXor MVN MaxPool Maximum Minimum Mish
    Mod Multiply Negative NonZero NormalizeL2 NotEqual OneHot PRelu Pad Parameter Power RMS Range ReadValue ReduceL1
    ReduceL2 ReduceLogicalAnd ReduceLogicalOr ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape
    Result Reverse ReverseSequence Round ScatterElementsUpdate ScatterNDUpdate ScatterUpdate Select Selu ShapeOf
    Sigmoid Sign Sin Slice Softmax SoftPlus SoftSign Split Sqrt SquaredDifference Squeeze StridedSlice Subtract
    Swish Tan Tanh Tile TopK Transpose Unique Unsqueeze VariadicSplit
"""
_LIGHT = frozenset(_LIGHT_NAMES.split())


def _product(node: Any, macs: int) -> GraphProduct:
    """One counted operator with its operands; the first stored one is the weight."""
    operands = [_operand(node.input_value(place).get_node()) for place in (0, 1)]
    stored = [constant for _, constant in operands if constant is not None]
    weight = next((each for each in operands if each[1] is not None), operands[1])
    other = operands[0] if weight is operands[1] else operands[1]
    return GraphProduct(
        operator=node.get_type_name(),
        node=node.get_friendly_name(),
        macs=macs,
        weight_bits=weight[0],
        activation_bits=other[0],
        weights=tuple(_counts(each) for each in stored),
    )


def _operand(node: Any) -> tuple[int, Any]:
    """The bits of an operand, and the constant behind it, None if it is computed."""
    bits = 32
    while node.get_type_name() in _VIEWS:
        if node.get_type_name() == "FakeQuantize" and node.get_attributes()["levels"] <= _FEW_LEVELS:
            bits = 8
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        return bits, None
    return min(bits, _NARROW.get(_type(node), bits)), node


def _stored(node: Any) -> StoredNumbers:
    bits = _NARROW.get(_type(node)) or int(node.get_element_type().bitwidth)
    dtype = str(node.get_element_type().to_dtype())
    return StoredNumbers(node.get_friendly_name(), _counts(node), dtype, bits, _looked_up(node))


def _counts(node: Any) -> Elements:
    """Elements of a constant, and those that are not zero."""
    import numpy as np

    array = node.get_data()
    return Elements(int(array.size), int(np.count_nonzero(array)))


def _is_weight(node: Any) -> bool:
    """Whether a constant holds weights or biases, and neither scales, ranges, lengths nor single numbers of the code.

    A single number counts if the model of torch had it under the name of a weight or bias.
    """
    name, kind = node.get_friendly_name(), _type(node)
    if kind not in (*_FLOATS, *_NARROW) or all(_is_side(user, place) for user, place in _users(node)):
        return False
    single = prod(node.get_output_shape(0)) == 1
    return not single or name.endswith((".weight", ".bias"))


def _is_side(user: Any, place: int) -> bool:
    """Whether the input number `place` of an operator is a range, or the scale or zero point of stored integers."""
    kind = user.get_type_name()
    if kind == "FakeQuantize":
        return place > 0
    if kind in ("Multiply", "Subtract") and place == 1:
        first = user.input_value(0).get_node()
        while first.get_type_name() in ("Subtract", "Convert"):
            first = first.input_value(0).get_node()
        return first.get_type_name() == "Constant" and _type(first) in _NARROW
    if kind == "Convert":
        return all(_is_side(other, where) for other, where in _users(user))
    return False


def _looked_up(node: Any) -> bool:
    """Whether rows of a matrix are looked up, as of an embedding."""
    if len(node.get_output_shape(0)) != 2:
        return False
    waiting = [node]
    while waiting:
        for user, place in _users(waiting.pop()):
            if user.get_type_name() == "Gather" and place == 0:
                return True
            if user.get_type_name() in _VIEWS and place == 0:
                waiting.append(user)
    return False


def _users(node: Any) -> Iterator[tuple[Any, int]]:
    for target in node.output(0).get_target_inputs():
        yield target.get_node(), target.get_index()


def _type(node: Any) -> str:
    return str(node.get_element_type().get_type_name())
