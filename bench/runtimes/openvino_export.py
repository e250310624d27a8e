"""Turning a model of torch into OpenVINO's graph, and quantizing that with NNCF."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import BenchError, MethodError
from bench.runtimes.openvino_files import GRAPH, WEIGHTS, last_line, read, silent
from bench.runtimes.runtime import Batches, Files
from bench.runtimes.tracing import quiet_exporters

if TYPE_CHECKING:
    from bench.runtimes.tracing import Traced

_SMALL = 8  # bytes of a single number of the code, which is not worth a look


def exported(traced: Traced) -> dict[str, bytes]:
    """The files of the graph; raises `MethodError` if OpenVINO cannot convert the model."""
    openvino = silent()
    import torch

    names = list(traced.example)
    with quiet_exporters(), torch.no_grad():
        try:
            model = openvino.convert_model(traced.module, example_input=tuple(traced.example.values()))
        except BenchError:
            raise
        except Exception as error:  # the converter raises classes of several libraries
            raise MethodError(
                f"export: openvino.convert_model cannot convert this model: {last_line(error)}. Its operators may have "
                "no form in OpenVINO; try runtime 'onnxruntime' or 'compile'."
            ) from error
    for port, name in zip(model.inputs, names, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
        port.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
    for port, name in zip(model.outputs, traced.outputs, strict=True):
        port.get_tensor().set_names({name})
    _store_once(model)
    model.validate_nodes_and_infer_types()
    return _written(model)


def quantized(files: Files, batches: Batches) -> dict[str, bytes]:
    """The files after NNCF's post-training quantization of weights and activations to 8 bits, for transformers."""
    silent()
    import logging

    import nncf

    nncf.set_log_level(logging.ERROR)
    data = nncf.Dataset([{name: values.numpy() for name, values in batch.items()} for batch in batches])
    model = nncf.quantize(
        read(files), data, subset_size=len(batches), model_type=nncf.ModelType.TRANSFORMER, fast_bias_correction=True
    )
    return _written(model)


def _store_once(model: Any) -> None:
    """Let equal constants be one, in place: the biases and norms of a shared layer are converted once for each run."""
    known: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_byte_size() <= _SMALL:
            continue
        kind, shape = str(node.get_element_type()), tuple(node.get_output_shape(0))
        first = known.setdefault((kind, shape, hashlib.sha256(node.get_data().tobytes()).digest()), node)
        if first is not node:
            for target in node.output(0).get_target_inputs():
                target.replace_source_output(first.output(0))


def _written(model: Any) -> dict[str, bytes]:
    """The files of a model of OpenVINO; numbers keep their width, though its own default is 16 bits."""
    openvino = silent()
    with tempfile.TemporaryDirectory(prefix="bench-openvino-") as folder:
        path = Path(folder) / GRAPH
        openvino.save_model(model, path, compress_to_fp16=False)
        return {GRAPH: path.read_bytes(), WEIGHTS: (Path(folder) / WEIGHTS).read_bytes()}
