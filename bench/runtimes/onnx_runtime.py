"""ONNX Runtime: graphs in the open format ONNX, on its CPU kernels."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from bench.base.errors import ModelError
from bench.runtimes.onnx_files import MODEL, first_line, named, refuse_external
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

_PROVIDER = "CPUExecutionProvider"
_ERRORS = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")


@RUNTIMES.register("onnxruntime")
class OnnxRuntime(GraphRuntime):
    """Runs ONNX graphs; dynamic and static quantization are its own.

    Its CPU kernels have no arithmetic in 16 bits, so it runs float32 and the integers that a graph holds.
    """

    name: ClassVar[str] = "onnxruntime"
    says: ClassVar[str] = "ONNX Runtime on its CPU kernels"
    extra: ClassVar[str] = "bench[onnx]"
    runs: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    makes: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript")
    quantizations: ClassVar[tuple[Quantization, ...]] = ("none", "dynamic", "static")
    files: ClassVar[tuple[str, ...]] = (MODEL,)

    @override
    def export(self, traced: Traced) -> dict[str, bytes]:
        from bench.runtimes.onnx_export import exported

        return {MODEL: exported(traced)}

    @override
    def quantize(self, files: Files, how: Quantization, batches: Batches, *, reduce_range: bool) -> dict[str, bytes]:
        from bench.runtimes.onnx_quantization import quantized

        return {MODEL: quantized(files[MODEL], how, batches, reduce_range=reduce_range)}

    @override
    def open(self, files: Files, *, threads: int, precision: Precision) -> OpenGraph:
        del precision  # checked when it was exported: there is one
        self.require()
        return OnnxSession(files[MODEL], threads=threads)

    @override
    def operators(self, files: Files, *, rows: int, length: int) -> GraphOperators:
        from bench.runtimes.onnx_operators import operators

        return operators(files[MODEL], rows=rows, length=length)


class OnnxSession(OpenGraph):
    """An open ONNX graph; raises `ModelError` if it cannot be read, or if its weights are in other files."""

    def __init__(self, model: bytes | Path, *, threads: int) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        onnxruntime.disable_telemetry_events()
        refuse_external(model)
        self.precision = "float32"  # its CPU kernels have no other
        self._threads = threads
        self._model = model
        errors = tuple(getattr(state, name) for name in _ERRORS)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), self._options(), providers=[_PROVIDER]
            )
        except errors as error:
            raise ModelError(f"{named(model)}: ONNX Runtime cannot read it: {first_line(error)}") from error
        self.inputs = {port.name: _port(port) for port in self._session.get_inputs()}
        self.outputs = {port.name: _port(port) for port in self._session.get_outputs()}

    @override
    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        import torch

        fed = {name: values.numpy().astype(self.inputs[name].dtype, copy=False) for name, values in inputs.items()}
        return [torch.from_numpy(found) for found in self._session.run(list(outputs), fed)]

    @override
    def executed(self) -> Executed:
        import onnxruntime

        products = self._products()
        return Executed(
            runtime=OnnxRuntime.name,
            version=onnxruntime.__version__,
            threads=self._threads,
            device=self._session.get_providers()[0],
            precision=self.precision,
            products=products,
        )

    def _options(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors, which it raises as well
        return options

    def _products(self) -> dict[str, int]:
        """Matrix products by operator in the graph as the runtime made it for this machine."""
        import onnxruntime

        from bench.runtimes.onnx_operators import products_of

        model = self._model
        with tempfile.TemporaryDirectory(prefix="bench-onnx-") as folder:
            options, path = self._options(), Path(folder) / "run.onnx"
            options.optimized_model_filepath = str(path)
            onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=[_PROVIDER]
            )
            return products_of(path)


def _port(argument: Any) -> Port:
    dtype = str(argument.type).removeprefix("tensor(").removesuffix(")").replace("float", "float32", 1)
    return Port(dtype, tuple(size if isinstance(size, int) else None for size in argument.shape))
