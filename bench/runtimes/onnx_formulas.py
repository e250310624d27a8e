"""What each ONNX operator costs in multiply-adds, by the convention of `bench.measures.computation.operators`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple


class Shapes(NamedTuple):
    """The shapes of values by name."""

    known: Mapping[str, tuple[int, ...]]

    def of(self, name: str) -> tuple[int, ...]:
        """The shape of one value."""
        return self.known[name]


# Multiply-adds of one operator; in words what cannot be counted.
Formula = Callable[[Any, Shapes], int | str]


def _attribute(node: Any, name: str, default: int = 0) -> int:
    return next((int(each.i) for each in node.attribute if each.name == name), default)


def _matmul(node: Any, shapes: Shapes) -> int:
    """Elements of the output times the length of the axis that is summed over, the first operand's last one."""
    left = shapes.of(node.input[0])
    summed = left[-2] if _attribute(node, "transA") and len(left) > 1 else left[-1]
    return prod(shapes.of(node.output[0])) * summed


def _packed(node: Any, shapes: Shapes) -> int:
    return prod(shapes.of(node.output[0])) * shapes.of(node.input[0])[-1]


def _convolution(node: Any, shapes: Shapes) -> int:
    weight = node.input[3] if node.op_type == "QLinearConv" else node.input[1]
    output = shapes.of(node.output[0])
    return output[0] * prod(output[2:]) * prod(shapes.of(weight))


def _recurrent(node: Any, shapes: Shapes) -> int:
    """Steps and rows times the elements of both matrices; the input is [steps, rows, width]."""
    steps, rows, _ = shapes.of(node.input[0])
    return steps * rows * (prod(shapes.of(node.input[1])) + prod(shapes.of(node.input[2])))


def _fused_attention(node: Any, shapes: Shapes) -> int | str:
    """Attention with its own packed projection, [batch, length, width] and [width, 3 hidden] (com.microsoft)."""
    if node.op_type == "Attention" and node.domain != "com.microsoft":
        return _attention(node, shapes)
    batch, length, _ = shapes.of(node.input[0])
    weight = shapes.of(node.input[1])
    return batch * length * prod(weight) + 2 * batch * length**2 * (weight[1] // 3)


def _attention(node: Any, shapes: Shapes) -> int | str:
    """Both products of attention over query, key and value, [batch, length, all heads] or [batch, heads, length, d]."""
    operands = [shapes.of(name) for name in node.input[:3] if name]
    if len(operands) < 3 or len({len(each) for each in operands}) > 1:
        return "packed query, key and value"
    query, key, value = operands
    heads = query[1] if len(query) == 4 else 1
    return query[0] * heads * query[-2] * key[-2] * (query[-1] + value[-1])


def _einsum(node: Any, shapes: Shapes) -> int | str:
    """One product per combination of all indices, if one of them is summed over; two operands without ellipses."""
    equation: str = next(each.s.decode() for each in node.attribute if each.name == "equation").replace(" ", "")
    terms, arrow, output = equation.partition("->")
    names = terms.split(",")
    if not arrow or "." in equation or len(names) != 2:
        return equation
    sizes = {
        index: size
        for name, term in zip(node.input, names, strict=True)
        for index, size in zip(term, shapes.of(name), strict=True)
    }
    return prod(sizes.values()) if set(sizes) - set(output) else 0


FORMULAS: Mapping[str, Formula] = {
    "MatMul": _matmul,
    "Gemm": _matmul,
    "FusedMatMul": _matmul,
    "FusedGemm": _matmul,
    "QGemm": _matmul,
    "MatMulInteger": _packed,
    "QLinearMatMul": _packed,
    "MatMulIntegerToFloat": _packed,
    "DynamicQuantizeMatMul": _packed,
    "MatMulNBits": _packed,
    "Conv": _convolution,
    "FusedConv": _convolution,
    "ConvInteger": _convolution,
    "QLinearConv": _convolution,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Attention": _fused_attention,
    "QAttention": _fused_attention,
    "MultiHeadAttention": _attention,
    "Einsum": _einsum,
}

# Operators without summed products. One that is in neither table may be heavy, so it is called uncounted.
_LIGHT = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization BiasGelu BitShift
    BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Compress Concat Constant ConstantOfShape
    Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Elu EmbedLayerNormalization
    Equal Erf Exp Expand EyeLike FastGelu Flatten Floor Gather GatherElements GatherND Gelu GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Hardmax Identity
    InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization
    Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonZero Not OneHot Or Pad Pow PRelu
    QuantizeLinear QuickGelu RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape ReverseSequence Round
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Size
    SkipLayerNormalization SkipSimplifiedLayerNormalization Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
    Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Where Xor
"""
LIGHT = frozenset(_LIGHT.split())
