"""What a runtime is, the graph that one reads, and how it says what really ran."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from bench.base.errors import MethodError, UnavailableError
from bench.base.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.runtimes.operators import GraphOperators
    from bench.runtimes.tracing import Traced

EAGER = "eager"
Precision = Literal["float32", "default", "bfloat16", "float16"]
Quantization = Literal["none", "dynamic", "static"]
Files = Mapping[str, bytes | Path]
Batches = Sequence[Mapping[str, "Tensor"]]


@dataclass(frozen=True, kw_only=True)
class Executed:
    """How a model was really run here, as the runtime itself says it.

    `precision` is that of numbers with a fraction; `products` says how many matrix products ran in which precision, if
    the runtime tells.
    """

    runtime: str
    version: str
    threads: int
    device: str
    precision: str
    products: dict[str, int] = field(default_factory=dict)


class Port(NamedTuple):
    """An input or output of a graph: its numpy dtype, and its shape, None for an axis of any length."""

    dtype: str
    shape: tuple[int | None, ...]


class OpenGraph(ABC):
    """A graph that was opened and can be run, on a fixed number of threads."""

    precision: str  # of numbers with a fraction, as they are really computed
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]

    @abstractmethod
    def run(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> list[Tensor]:
        """The named outputs for the inputs, each in the dtype that its port has; returns when they are computed."""

    @abstractmethod
    def executed(self) -> Executed:
        """What runs it, and the precision in which it really runs."""


class Runtime(ABC):
    """Something that executes models; `extra` is what pip installs it with, empty if bench needs it anyway.

    It holds no state and imports its library only when it is used. `runs` are the packages that running takes,
    `makes` those that making its form of a model takes besides.
    """

    name: ClassVar[str]
    says: ClassVar[str]
    extra: ClassVar[str] = ""
    runs: ClassVar[tuple[str, ...]] = ()
    makes: ClassVar[tuple[str, ...]] = ()
    precisions: ClassVar[tuple[Precision, ...]] = ("float32", "default")
    quantizations: ClassVar[tuple[Quantization, ...]] = ("none",)

    def missing(self, *, making: bool = False) -> str | None:
        """Why it cannot run here, or cannot be exported to if `making`, and what to do; None if it can."""
        lacking = [name for name in (*self.runs, *(self.makes if making else ())) if find_spec(name) is None]
        if not lacking:
            return None
        return f"runtime '{self.name}' needs {' and '.join(lacking)}. Install it with: pip install '{self.extra}'"

    def require(self, *, making: bool = False) -> None:
        """Raise `UnavailableError` if it is `missing`."""
        reason = self.missing(making=making)
        if reason is not None:
            raise UnavailableError(reason)

    def prime(self) -> None:
        """Load its library, so that what follows does not take that in."""
        for name in self.runs:
            import_module(name)

    def version(self) -> str:
        """The version of its library."""
        return version(self.runs[0] if self.runs else "torch")

    @abstractmethod
    def executed(self, model: nn.Module) -> Executed:
        """How `model`, which this runtime runs, is executed here."""


class ModuleRuntime(Runtime):
    """A runtime that runs the modules of torch themselves; the artifact holds ordinary weights."""

    @abstractmethod
    def prepare(self, model: nn.Module) -> nn.Module:
        """`model` itself, from now on run by this runtime."""


class GraphRuntime(Runtime):
    """A runtime that reads a graph from files; `files` are their names in an artifact, the first is the graph."""

    files: ClassVar[tuple[str, ...]]

    @abstractmethod
    def export(self, traced: Traced) -> dict[str, bytes]:
        """The files of a model of torch, in float32, with dynamic batch and length.

        Raises `MethodError` if the model cannot be recorded.
        """

    def quantize(self, files: Files, how: Quantization, batches: Batches, *, reduce_range: bool) -> dict[str, bytes]:
        """The files of the graph after the runtime's own post-training quantization.

        Args:
            files: of the float32 graph.
            how: one of `quantizations`.
            batches: inputs of training examples for calibration.
            reduce_range: whether weights have 7 bits, so that products of processors without VNNI do not overflow.
        """
        raise MethodError(f"runtime '{self.name}' has no quantization of its own")

    @abstractmethod
    def open(self, files: Files, *, threads: int, precision: Precision) -> OpenGraph:
        """A session on `threads` threads of the CPU.

        Raises:
            UnavailableError: the runtime is missing. ModelError: it cannot read the files.
        """

    @abstractmethod
    def operators(self, files: Files, *, rows: int, length: int) -> GraphOperators:
        """What the graph stores, and what it multiplies for inputs [rows, length]."""

    def executed(self, model: nn.Module) -> Executed:
        """As its session says."""
        return model.session().executed()  # type: ignore[operator, no-any-return]


RUNTIMES: Registry[type[Runtime]] = Registry(
    "runtime",
    modules=(
        "bench.runtimes.eager",
        "bench.runtimes.compiled",
        "bench.runtimes.onnx_runtime",
        "bench.runtimes.openvino_runtime",
    ),
    group="bench.runtimes",
)


def graph_runtime(name: str, *, where: str | None = None) -> GraphRuntime:
    """The runtime called `name`, which reads graphs; raises `UnknownNameError` or `MethodError` if it does not."""
    found = RUNTIMES.get(name, where=where)()
    if not isinstance(found, GraphRuntime):
        graphs = ", ".join(each for each, plugin in RUNTIMES.items() if issubclass(plugin, GraphRuntime))
        raise MethodError(f"{f'{where}: ' if where else ''}runtime '{name}' reads no graph. Those that do: {graphs}.")
    return found


def run_by(model: nn.Module, name: str) -> nn.Module:
    """`model` itself, from now on run by the runtime called `name`, which runs modules of torch.

    Raises:
        UnknownNameError: there is no such runtime. MethodError: it reads graphs. UnavailableError: it cannot run here.
    """
    runtime = RUNTIMES.get(name)()
    if not isinstance(runtime, ModuleRuntime):
        raise MethodError(f"runtime '{name}' reads graphs and runs no modules of torch")
    runtime.require()
    made = runtime.prepare(model)
    vars(made)["runtime"] = name
    return made


def runtime_of(model: nn.Module) -> str:
    """The name of the runtime that `model` is run by."""
    graph = getattr(model, "graph", None)
    return str(vars(model).get("runtime", EAGER)) if graph is None else str(graph.runtime)
