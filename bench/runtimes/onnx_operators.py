"""What an ONNX graph stores and multiplies, by its own operators; shapes are those of one real run of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.runtimes.onnx_formulas import FORMULAS, LIGHT, Shapes
from bench.runtimes.operators import Elements, GraphOperators, GraphProduct, StoredNumbers

if TYPE_CHECKING:
    import numpy as np

# What may stand between a stored tensor and the operator that uses it, and still hands its elements on.
_VIEWS = ("Identity", "Transpose", "Reshape", "Cast", "Unsqueeze", "Squeeze", "DequantizeLinear", "QuantizeLinear")
# Inputs of operators that are scales or zero points, by place.
_SIDE = {
    "DequantizeLinear": (1, 2),
    "QuantizeLinear": (1, 2),
    "MatMulInteger": (2, 3),
    "ConvInteger": (2, 3),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "DynamicQuantizeMatMul": (2, 3),
    "MatMulIntegerToFloat": (2, 3, 4, 5),
    "QGemm": (1, 2, 4, 5, 7, 8),
    "QAttention": (3, 4, 6, 7),
    "MatMulNBits": (2, 3),
}
_ZERO_POINT = {"DequantizeLinear": 2, "MatMulInteger": 3}  # of the stored operand


def operators(model: bytes | Path, *, rows: int, length: int) -> GraphOperators:
    """What the graph stores, and what it multiplies for inputs [rows, length]; see `GraphRuntime.operators`."""
    graph = _OnnxGraph(loaded(model))
    sizes = _sizes(graph.model, graph.heavy(), (rows, length))
    products, uncounted = [], Counter(graph.unknown())
    for node in graph.heavy():
        made = FORMULAS[node.op_type](node, Shapes(graph.shapes | sizes))
        if isinstance(made, str):
            uncounted[f"{node.op_type} ({made})"] += 1
        elif made:
            products.append(graph.product(node, made))
    stored = graph.stored()
    whole = sum(array.nbytes for array in graph.tensors.values())
    return GraphOperators(
        products=tuple(products),
        uncounted=dict(uncounted),
        stored=stored,
        side_bytes=whole - sum(each.bytes for each in stored),
    )


def products_of(path: Path) -> dict[str, int]:
    """How often each operator with a formula is in a graph, by name."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return dict(Counter(node.op_type for node in model.graph.node if node.op_type in FORMULAS))


def loaded(model: bytes | Path) -> Any:
    """The graph as ONNX's own data."""
    import onnx

    if isinstance(model, bytes):
        return onnx.load_model_from_string(model)
    return onnx.load(str(model), load_external_data=False)


class _Operand(NamedTuple):
    """What an operator is given: its bits, and the stored tensor behind it if there is one."""

    bits: int
    stored: str | None


class _OnnxGraph:
    """An ONNX graph with its stored tensors by name, and who makes and who uses each value."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.model = model
        self.tensors: dict[str, np.ndarray[Any, Any]] = {
            each.name: numpy_helper.to_array(each) for each in model.graph.initializer
        }
        self.makers: dict[str, Any] = {}
        self.users: dict[str, list[tuple[Any, int]]] = defaultdict(list)
        for node in model.graph.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self.tensors[node.output[0]] = numpy_helper.to_array(attribute.t)
            for name in node.output:
                self.makers[name] = node
            for place, name in enumerate(node.input):
                self.users[name].append((node, place))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every stored tensor."""
        return {name: tuple(array.shape) for name, array in self.tensors.items()}

    def heavy(self) -> list[Any]:
        """The operators with a formula."""
        return [node for node in self.model.graph.node if node.op_type in FORMULAS]

    def unknown(self) -> dict[str, int]:
        """Calls of operators that may multiply and have no formula."""
        return Counter(
            node.op_type for node in self.model.graph.node if node.op_type not in FORMULAS and node.op_type not in LIGHT
        )

    def product(self, node: Any, macs: int) -> GraphProduct:
        """One counted operator with its operands; the first stored one is the weight."""
        operands = [self._operand(name) for name in self._multiplied(node)]
        stored = [each for each in operands if each.stored is not None]
        weight = stored[0] if stored else operands[-1]
        other = next((each for each in operands if each is not weight), weight)
        return GraphProduct(
            operator=node.op_type,
            node=node.name,
            macs=macs,
            weight_bits=weight.bits,
            activation_bits=other.bits,
            weights=tuple(self._counts(each.stored) for each in stored if each.stored),
        )

    def stored(self) -> tuple[StoredNumbers, ...]:
        """Weights and biases: stored tensors of fractions, or of integers that stand for some, with an axis."""
        found = []
        for name, array in self.tensors.items():
            if array.ndim == 0 or not self._is_weight(name):
                continue
            counted = self._counts(name)
            found.append(StoredNumbers(name, counted, str(array.dtype), self._bits(array), self._looked_up(name)))
        return tuple(found)

    def _is_weight(self, name: str) -> bool:
        users = self.users[name]
        if all(place in _SIDE.get(node.op_type, ()) or self._rescales(node) for node, place in users):
            return False
        if self.tensors[name].dtype.kind == "f":
            return True
        return any(
            (node.op_type in ("DequantizeLinear", "Gather") and place == 0 and self._is_number(node))
            or (node.op_type in _SIDE and place not in _SIDE[node.op_type])
            for node, place in users
        )

    def _is_number(self, node: Any) -> bool:
        """Whether what is looked up becomes a number with a fraction, and not a place or a length."""
        return node.op_type == "DequantizeLinear" or any(
            user.op_type == "DequantizeLinear" for user, _ in self.users[node.output[0]]
        )

    def _rescales(self, node: Any) -> bool:
        """Whether a product makes the scale of an integer product, of the input's scale and a stored one."""
        makers = [self.makers.get(name) for name in node.input]
        return node.op_type == "Mul" and any(
            maker is not None and maker.op_type == "DynamicQuantizeLinear" for maker in makers
        )

    def _looked_up(self, name: str) -> bool:
        users = [(node, place) for node, place in self.users[name]]
        users += [other for node, _ in users if node.op_type in _VIEWS for other in self.users[node.output[0]]]
        return len(self.tensors[name].shape) == 2 and any(
            node.op_type == "Gather" and place == 0 for node, place in users
        )

    def _multiplied(self, node: Any) -> list[str]:
        side = _SIDE.get(node.op_type, ())
        most = 3 if node.op_type in ("MultiHeadAttention", "LSTM", "GRU", "RNN") else 2
        return [name for place, name in enumerate(node.input) if name and place not in side][:most]

    def _operand(self, name: str) -> _Operand:
        bits, narrowest = None, None
        while True:
            if name in self.tensors:
                own = self._bits(self.tensors[name])
                return _Operand(own if narrowest is None else min(narrowest, own), name)
            maker = self.makers.get(name)
            if maker is None or maker.op_type not in _VIEWS:
                break
            if maker.op_type == "DequantizeLinear":
                narrowest = bits = 8
            name = maker.input[0]
        integer = maker is not None and maker.op_type == "DynamicQuantizeLinear"
        return _Operand(8 if integer else bits or 32, None)

    def _bits(self, array: Any) -> int:
        name = str(array.dtype)
        return 4 if name in ("int4", "uint4") else int(array.dtype.itemsize) * 8

    def _counts(self, name: str) -> Elements:
        """Elements of a stored tensor, and those that do not stand for zero."""
        import numpy as np

        array = self.tensors[name]
        for node, place in self.users[name]:
            where = _ZERO_POINT.get(node.op_type)
            zero = self.tensors.get(node.input[where]) if where is not None and len(node.input) > where else None
            if zero is not None and place < 2 and bool(np.any(zero)):
                return Elements(int(array.size), int(np.count_nonzero(array != zero.reshape(-1)[0])))
        return Elements(int(array.size), int(np.count_nonzero(array)))


def _sizes(model: Any, nodes: list[Any], shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of what these operators are given and give, found by running the graph with them as outputs."""
    import copy

    import numpy as np
    import onnx
    import onnxruntime

    stored = {each.name for each in model.graph.initializer}
    given = {each.name for each in model.graph.input}
    wanted = {name for node in nodes for name in (*node.input, *node.output) if name} - stored - given
    watched = copy.deepcopy(model)
    known = {each.name for each in watched.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted - known))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fed = {
        port.name: np.ones(shape, dtype=port.type.removeprefix("tensor(").removesuffix(")"))
        for port in session.get_inputs()
    }
    if not wanted:
        return dict.fromkeys(fed, shape)
    names = sorted(wanted)
    found = {name: tuple(array.shape) for name, array in zip(names, session.run(names, fed), strict=True)}
    return found | dict.fromkeys(fed, shape)
