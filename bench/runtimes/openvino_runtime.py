"""OpenVINO: graphs in its own format, on its CPU plug-in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from bench.base.errors import ModelError
from bench.runtimes.openvino_files import GRAPH, WEIGHTS, core, last_line, read, silent
from bench.runtimes.runtime import (
    RUNTIMES,
    Batches,
    Executed,
    Files,
    GraphRuntime,
    OpenGraph,
    Port,
    Precision,
    Quantization,
)

if TYPE_CHECKING:
    from torch import Tensor

    from bench.runtimes.operators import GraphOperators
    from bench.runtimes.tracing import Traced

_DEVICE = "CPU"
_HINTS: Mapping[Precision, dict[str, str]] = {
    "default": {},
    "float32": {"INFERENCE_PRECISION_HINT": "f32"},
    "bfloat16": {"INFERENCE_PRECISION_HINT": "bf16"},
    "float16": {"INFERENCE_PRECISION_HINT": "f16"},
}
_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i64": "int64", "i32": "int32"}
_PRODUCTS = ("FullyConnected", "MatMul", "Convolution", "ScaledDotProductAttention", "MHA")


@RUNTIMES.register("openvino")
class OpenVino(GraphRuntime):
    """Runs OpenVINO's graphs (IR); static quantization is that of NNCF, with the settings for transformers.

    Left alone, its CPU plug-in runs float32 graphs in bfloat16 on processors with AMX, whatever the file holds
    (`docs.openvino.ai`, "Precision control"). So precision "float32" forces it, and "default" leaves the choice.
    """

    name: ClassVar[str] = "openvino"
    says: ClassVar[str] = "OpenVINO on its CPU plug-in"
    extra: ClassVar[str] = "bench[openvino]"
    runs: ClassVar[tuple[str, ...]] = ("openvino",)
    makes: ClassVar[tuple[str, ...]] = ("nncf",)
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "default", "bfloat16", "float16")
    quantizations: ClassVar[tuple[Quantization, ...]] = ("none", "static")
    files: ClassVar[tuple[str, ...]] = (GRAPH, WEIGHTS)

    @override
    def export(self, traced: Traced) -> dict[str, bytes]:
        from bench.runtimes.openvino_export import exported

        return exported(traced)

    @override
    def quantize(self, files: Files, how: Quantization, batches: Batches, *, reduce_range: bool) -> dict[str, bytes]:
        from bench.runtimes.openvino_export import quantized

        return quantized(files, batches)

    @override
    def prime(self) -> None:
        core()

    @override
    def open(self, files: Files, *, threads: int, precision: Precision) -> OpenGraph:
        self.require()
        return OpenVinoSession(files, threads=threads, precision=precision)

    @override
    def operators(self, files: Files, *, rows: int, length: int) -> GraphOperators:
        from bench.runtimes.openvino_operators import operators

        return operators(files, rows=rows, length=length)


class OpenVinoSession(OpenGraph):
    """A compiled graph; raises `ModelError` if it cannot be read or compiled."""

    def __init__(self, files: Files, *, threads: int, precision: Precision) -> None:
        self._threads = threads
        asked = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # whoever measures pins the thread that calls
            **_HINTS[precision],
        }
        model = read(files)
        try:
            self._compiled: Any = core().compile_model(model, _DEVICE, asked)
        except RuntimeError as error:
            raise ModelError(f"{GRAPH}: OpenVINO cannot compile it: {last_line(error)}") from error
        hint = str(self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self.precision = _NAMES.get(hint, hint)
        self._request: Any = self._compiled.create_infer_request()
        self.inputs = {port.any_name: _port(port) for port in self._compiled.inputs}
        self._places = {name: place for place, port in enumerate(self._compiled.outputs) for name in port.names}
        self.outputs = {name: _port(self._compiled.outputs[place]) for name, place in self._places.items()}

    @override
    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        import torch

        fed = {name: values.numpy().astype(self.inputs[name].dtype, copy=False) for name, values in inputs.items()}
        found = self._request.infer(fed, share_inputs=True)
        return [torch.from_numpy(found[self._places[name]]) for name in outputs]

    @override
    def executed(self) -> Executed:
        openvino = silent()
        return Executed(
            runtime=OpenVino.name,
            version=openvino.__version__.partition("-")[0],
            threads=int(self._compiled.get_property("INFERENCE_NUM_THREADS")),
            device=", ".join(self._compiled.get_property("EXECUTION_DEVICES")),
            precision=self.precision,
            products=self._products(),
        )

    def _products(self) -> dict[str, int]:
        """Matrix products by operator and precision in the graph as the plug-in made it for this machine."""
        found: Counter[str] = Counter()
        for operator in self._compiled.get_runtime_model().get_ops():
            told = operator.get_rt_info()
            kind = str(told["layerType"].astype(str))
            if kind in _PRODUCTS:
                precision = str(told["runtimePrecision"].astype(str))
                found[f"{kind} {_NAMES.get(precision, precision)}"] += 1
        return dict(found)


def _port(port: Any) -> Port:
    shape = tuple(int(size.get_length()) if size.is_static else None for size in port.get_partial_shape())
    return Port(str(port.get_element_type().to_dtype()), shape)
