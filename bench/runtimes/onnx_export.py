"""Recording a model of torch as an ONNX graph, by torch's own exporter."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import BenchError, MethodError
from bench.runtimes.onnx_files import MODEL, check_size, first_line
from bench.runtimes.tracing import quiet_exporters

if TYPE_CHECKING:
    from bench.runtimes.tracing import Traced

_AXES = {0: "batch", 1: "length"}
_MATRIX_AXES = 2


def exported(traced: Traced) -> bytes:
    """The ONNX file; raises `MethodError` if the exporter cannot record the model."""
    import torch

    names = list(traced.example)
    with quiet_exporters():
        try:
            program: Any = torch.onnx.export(
                traced.module,
                tuple(traced.example.values()),
                dynamo=True,
                input_names=names,
                output_names=list(traced.outputs),
                dynamic_shapes=(tuple(dict(_AXES) for _ in names),),
                external_data=False,
                verbose=False,
            )
        except BenchError:
            raise
        except Exception as error:  # the exporter raises classes of many libraries
            cause = error.__cause__
            says = first_line(cause if isinstance(cause, Exception) else error)
            raise MethodError(
                f"export: torch.onnx.export cannot record this model: {says}. Its operators may have no "
                "form in ONNX; try runtime 'openvino' or 'compile'."
            ) from error
    with tempfile.TemporaryDirectory(prefix="bench-onnx-") as folder:
        path = Path(folder) / MODEL
        _without_traces(program.model)
        program.save(path)
        return check_size(_stored_once(path.read_bytes()))


def _without_traces(model: Any) -> None:
    """Take the exporter's notes out, in place: where in which file of this machine each operator was called."""
    for holder in (model, model.graph, *model.functions.values()):
        holder.metadata_props.clear()
    for node in model.graph.all_nodes():
        for holder in (node, *node.outputs):
            holder.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def _stored_once(data: bytes) -> bytes:
    """The file with each tensor once: equal ones are one, and so are matrices of which one is another turned round.

    Shared layers are recorded once for each run, and a softmax tied to the embedding as its table turned round.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(data)
    arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    first: dict[Any, str] = {}
    same = {name: first.setdefault(_digest(array), name) for name, array in arrays.items()}
    matrices = {name: arrays[name] for name in first.values() if arrays[name].ndim == _MATRIX_AXES}
    turned = {name: first.get(_digest(array.T)) for name, array in matrices.items()}
    spare = {name: other for name, other in turned.items() if other is not None and other != name}
    spare = {name: other for name, other in spare.items() if not (other in spare and name < other)}
    for node in model.graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    kept = [each for each in model.graph.initializer if same[each.name] == each.name and each.name not in spare]
    nodes = [
        onnx.helper.make_node("Transpose", [other], [name], name=f"turned {name}", perm=[1, 0])
        for name, other in spare.items()
    ] + list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


def _digest(array: Any) -> tuple[tuple[int, ...], str, str]:
    import numpy as np

    return array.shape, str(array.dtype), hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
