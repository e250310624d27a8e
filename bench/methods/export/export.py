"""Export: the model as another runtime executes it, compared with the model that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import METHODS, Lab, Method
from bench.runtimes.heads import FIELDS
from bench.runtimes.runtime import RUNTIMES, GraphRuntime, ModuleRuntime, Precision, Quantization, graph_runtime, run_by
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from torch import nn

COMPARED = 32  # training examples on which a graph is compared with its model


@METHODS.register("export")
class Export(Method):
    """Let another runtime execute the model: a graph for ONNX Runtime or OpenVINO, or PyTorch's compiler.

    The last stage of a recipe. The artifact then holds the graph in place of the weights, and everything is measured
    on it. Batch and length stay dynamic. Stored forms that no runtime has a kernel for become plain floats in the
    graph, and the stage's notes say so. `quantize` is the runtime's own post-training quantization to 8 bits:
    "dynamic" (ONNX Runtime) finds ranges of activations at each call, "static" (both) on training examples.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"time"})
    last: ClassVar[bool] = True

    runtime: str = Field(description="what executes the model: onnxruntime, openvino, compile or one of a plug-in")
    precision: Precision = Field(
        "float32", description="arithmetic outside integer products; 'default' is what the runtime picks on its own"
    )
    quantize: Quantization = Field("none", description="the runtime's own post-training quantization")
    examples: int = Field(256, ge=1, description="training examples for calibration (quantize = 'static')")
    reduce_range: bool = Field(
        True,
        description="7-bit weights in ONNX Runtime's quantization: with 8 bits its products overflow on processors "
        "without VNNI",
    )

    @field_validator("runtime")
    @classmethod
    def _exists(cls, name: str) -> str:
        RUNTIMES.get(name)
        return name

    @model_validator(mode="after")
    def _arguments_fit_the_runtime(self) -> Export:
        runtime = RUNTIMES.get(self.runtime)
        if self.precision not in runtime.precisions:
            raise ValueError(
                f"runtime '{self.runtime}' has no precision '{self.precision}'; it has {', '.join(runtime.precisions)}"
            )
        if self.quantize not in runtime.quantizations:
            has = ", ".join(runtime.quantizations)
            raise ValueError(f"runtime '{self.runtime}' has no quantization '{self.quantize}'; it has {has}")
        return self

    @override
    def saving(self) -> frozenset[Saving]:
        """Integers are fewer bytes too."""
        return self.saves if self.quantize == "none" else self.saves | {"bytes"}

    @override
    def seeded(self) -> bool:
        return False

    @override
    def refusal(self, head: str, device: str) -> str | None:
        runtime = RUNTIMES.get(self.runtime)()
        reason = runtime.missing(making=True)
        if reason is not None or not isinstance(runtime, GraphRuntime):
            return reason
        if head not in FIELDS:
            return f"a graph cannot have the head {head}. Supported heads: {', '.join(FIELDS)}"
        if device != "cpu":
            return f"runtime '{self.runtime}' runs graphs on the CPU, and the device is '{device}'"
        return None

    @override
    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Raises `MethodError` for a model that cannot be recorded, as one whose depth depends on the example."""
        from bench.models.heads import head_of
        from bench.models.modules import copy_model

        runtime = RUNTIMES.get(self.runtime)()
        if isinstance(runtime, ModuleRuntime):
            return run_by(copy_model(model).eval(), self.runtime)
        reason = self.refusal(head_of(model), lab.device)
        if reason is not None:
            raise MethodError(f"export: {reason}.")
        return self._graph(model, lab)

    def _graph(self, model: nn.Module, lab: Lab) -> nn.Module:
        from bench.methods.export.inputs import alone, compared_on, together
        from bench.models.adapter import adapter_for
        from bench.runtimes.comparison import compare
        from bench.runtimes.graph_model import GraphModel
        from bench.runtimes.tracing import traced

        runtime = graph_runtime(self.runtime)
        first = together(lab, 1)
        found = traced(model, first)
        lab.notes.extend(found.notes)
        lab.progress(f"exporting to {self.runtime}", 0.0)
        files = runtime.export(found)
        if self.quantize != "none":
            lab.progress("quantizing", 0.5)
            batches = alone(lab, self.examples) if self.quantize == "static" else []
            files = runtime.quantize(files, self.quantize, batches, reduce_range=self.reduce_range)
            if batches:
                lab.counts["calibration examples"] = min(self.examples, len(lab.features))
        made = GraphModel.from_files(
            self.runtime,
            files,
            model.config,
            found.head,
            found.outputs,
            precision=self.precision,
            layers=adapter_for(model).depth(model),
            where="export",
        )
        lab.progress("comparing the graph with the model", 0.9)
        exact = self.precision == "float32" and self.quantize == "none" and not found.notes
        count, batches = compared_on(lab, COMPARED)
        return made.compared_by(compare(model.eval(), made, batches, examples=count, exact=exact)).eval()
