"""The model that a graph is loaded as: called like the model of torch that it was made from, run by a runtime."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.base.errors import MethodError, ModelError
from bench.models.heads import HEADS
from bench.runtimes.heads import FIELDS, output_of, shape_of
from bench.runtimes.runtime import Files, OpenGraph, Precision, graph_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from bench.runtimes.operators import GraphOperators

IDS = "input_ids"
# Inputs that a model of transformers makes itself if it is called without them.
_MADE = ("attention_mask", "token_type_ids", "position_ids")
_REFUSAL = (
    "a model that was exported is a graph that another runtime runs, and no method can change it. Make `export` the "
    "last stage of the recipe"
)


@dataclass(frozen=True, kw_only=True)
class GraphComparison:
    """A graph beside the model of torch that it was made from, on training examples.

    `difference` is the largest of any output number, over the standard deviation of all of them; `changed` the share
    of decisions that differ, None if outputs decide nothing. `exact` says that both should compute the same, so that
    only rounding in float32 may differ.
    """

    examples: int
    difference: float
    changed: float | None
    exact: bool


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph in files, and what is known of it besides.

    `outputs` are its outputs' names in the order of the head's fields (`bench.runtimes.heads.FIELDS`); `precision` is
    what the runtime is asked for; `layers` is how many layers the model has that it was made from, and `compared` how
    it stands beside that one; None if unknown.
    """

    runtime: str
    head: str
    files: Files
    outputs: tuple[str, ...]
    precision: Precision = "float32"
    layers: int | None = None
    compared: GraphComparison | None = None


class GraphModel(nn.Module):
    """A graph as a module: `config` is that of the architecture, and it gives what a model with this head gives.

    The class of an instance is named by its head, as `GraphForSequenceClassification`, so that `head_of` knows it; see
    `graph_model`. It is opened on as many threads as torch has at its first call, and again if that number changes. It
    has no parameters of torch, runs on the CPU, and cannot be copied or trained.
    """

    graph: Graph
    config: Any

    def __init__(self, graph: Graph, config: Any) -> None:
        super().__init__()
        self.graph = graph
        self.config = config
        self._session: OpenGraph | None = None
        self._threads = 0
        self._operators: dict[tuple[int, int], GraphOperators] = {}

    @staticmethod
    def from_files(
        runtime: str,
        files: Files,
        config: Any,
        head: str,
        output_names: Sequence[str] | None = None,
        *,
        precision: Precision = "float32",
        layers: int | None = None,
        compared: GraphComparison | None = None,
        where: str = "graph",
    ) -> GraphModel:
        """The model of a graph, its inputs and outputs checked against its head and configuration.

        Args:
            runtime: the name of a runtime that reads graphs.
            files: by their names in an artifact (`GraphRuntime.files`), as bytes or as paths.
            config: the architecture's configuration: labels, positions, vocabulary.
            head: one of `bench.runtimes.heads.FIELDS`.
            output_names: the graph's outputs in the order of the head's fields; None takes the fields' own names, or
                its only output.
            precision: what the runtime is asked for.
            layers: how many layers the model has that it was made from, if that is known.
            compared: how it stands beside that model, if that is known.
            where: what the graph is called in messages.

        Raises:
            ModelError: the runtime cannot read it, or its inputs or outputs do not fit.
            UnavailableError: the runtime is missing.
        """
        if head not in FIELDS:
            raise ModelError(f"{where}: a graph cannot have the head {head}. Supported: {', '.join(FIELDS)}.")
        graph = Graph(
            runtime=runtime,
            head=head,
            files=dict(files),
            outputs=(),
            precision=precision,
            layers=layers,
            compared=compared,
        )
        session = graph_runtime(runtime, where=where).open(files, threads=_threads(), precision=precision)
        outputs = _outputs(session, head, output_names, where=where)
        _check_inputs(session, where=where)
        _check_outputs(session, head, outputs, config, where=where)
        made = graph_model(replace(graph, outputs=outputs), config)
        made._session, made._threads = session, _threads()
        return made

    @override
    def forward(self, **inputs: Tensor | None) -> Any:
        """What the model gives for a batch; inputs as those of the model of torch, [batch, length] on the CPU."""
        session = self.session()
        given = {name: values for name, values in inputs.items() if values is not None}
        ids = given.get(IDS)
        if ids is None:
            raise ModelError(f"{type(self).__name__}: called without {IDS}; a graph reads tokens only")
        for name in given.keys() - session.inputs.keys():
            self._refuse_dropped(name, given[name])
        fed = {name: given[name] if name in given else _made(name, ids) for name in session.inputs}
        found = session.run(fed, self.graph.outputs)
        fields = FIELDS[self.graph.head]
        return output_of(self.graph.head, self.config, dict(zip(fields, found, strict=True)))

    def session(self) -> OpenGraph:
        """The open graph, on as many threads as torch has now."""
        threads = _threads()
        if self._session is None or self._threads != threads:
            self._session = None  # before another one is there: both at once would count as memory
            runtime = graph_runtime(self.graph.runtime)
            self._session = runtime.open(self.graph.files, threads=threads, precision=self.graph.precision)
            self._threads = threads
        return self._session

    def compared_by(self, compared: GraphComparison) -> GraphModel:
        """The same model, which from now on knows how it stands beside the one that it was made from."""
        self.graph = replace(self.graph, compared=compared)
        return self

    def operators(self, *, rows: int = 1, length: int = 16) -> GraphOperators:
        """What the graph stores, and what it multiplies for inputs [rows, length]; read once for each shape."""
        shape = (rows, length)
        if shape not in self._operators:
            runtime = graph_runtime(self.graph.runtime)
            self._operators[shape] = runtime.operators(self.graph.files, rows=rows, length=length)
        return self._operators[shape]

    @property
    def files(self) -> dict[str, bytes | Path]:
        """The graph's files by their names in an artifact."""
        return dict(self.graph.files)

    def _refuse_dropped(self, name: str, values: Tensor) -> None:
        """Raise `ModelError` unless leaving out an input changes nothing for this model."""
        harmless = {
            "attention_mask": lambda: bool((values != 0).all()),
            "token_type_ids": lambda: (
                not bool(values.any()) or int(getattr(self.config, "type_vocab_size", 0) or 0) < 2
            ),
        }
        if name not in harmless or not harmless[name]():
            raise ModelError(
                f"{type(self).__name__}: the graph has no input '{name}', but the examples need one: without it they "
                f"would be read in another way. Export it again with inputs {', '.join(_named(self.session()))} and "
                f"{name}."
            )

    @override
    def to(self, *args: Any, **kwargs: Any) -> GraphModel:
        device = torch._C._nn._parse_to(*args, **kwargs)[0]
        if device is not None and torch.device(device).type != "cpu":
            raise ModelError(
                f"{type(self).__name__}: runtime '{self.graph.runtime}' runs graphs on the CPU, not on '{device}'"
            )
        return self

    def __deepcopy__(self, memo: Any) -> GraphModel:
        """Every method begins with a copy, and none can change a graph."""
        raise MethodError(f"{type(self).__name__}: {_REFUSAL}.")

    @override
    def extra_repr(self) -> str:
        sizes = ", ".join(self.graph.files)
        return f"runtime={self.graph.runtime}, precision={self.graph.precision}, files={sizes}"


def graph_model(graph: Graph, config: Any) -> GraphModel:
    """The model of a graph that is known to fit its head, of the class that is named by it."""
    return _class_of(graph.head)(graph, config)


@functools.cache
def _class_of(head: str) -> type[GraphModel]:
    return type(f"Graph{HEADS[head][1][0]}", (GraphModel,), {"__module__": __name__, "__doc__": GraphModel.__doc__})


def _threads() -> int:
    return int(torch.get_num_threads())


def _named(session: OpenGraph) -> list[str]:
    return list(session.inputs)


def _made(name: str, ids: Tensor) -> Tensor:
    """What a model of transformers takes for an input that it is not given."""
    if name == "attention_mask":
        return torch.ones_like(ids)
    if name == "position_ids":
        return torch.arange(ids.shape[1]).expand_as(ids).contiguous()
    return torch.zeros_like(ids)


def _outputs(session: OpenGraph, head: str, given: Sequence[str] | None, *, where: str) -> tuple[str, ...]:
    fields, has = FIELDS[head], list(session.outputs)
    if given is not None:
        wanted = tuple(given)
    elif set(fields) <= set(has) or len(has) != len(fields):
        wanted = fields
    else:
        wanted = tuple(has)
    if len(wanted) != len(fields):
        raise ModelError(
            f"{where}: a {head} head has {len(fields)} outputs ({', '.join(fields)}), but {len(wanted)} were named: "
            f"{', '.join(wanted)}"
        )
    for name in wanted:
        if name not in has:
            raise ModelError(
                f"{where}: the graph has no output '{name}'. It has: {', '.join(has)}. Name those that are "
                f"{', '.join(fields)}."
            )
    return wanted


def _check_inputs(session: OpenGraph, *, where: str) -> None:
    known = (IDS, *_MADE)
    strange = [name for name in session.inputs if name not in known]
    if strange or IDS not in session.inputs:
        problem = f"an input '{strange[0]}'" if strange else f"no input '{IDS}'"
        raise ModelError(
            f"{where}: the graph has {problem}. A graph of a text model has {IDS} and may have {', '.join(_MADE)}; "
            f"this one has: {', '.join(session.inputs) or 'none'}. Export it again with these names."
        )
    for name, port in session.inputs.items():
        if len(port.shape) != 2 or not port.dtype.startswith("int"):
            raise ModelError(
                f"{where}: input '{name}' is {port.dtype} {_shown(port.shape)}, expected int64 or int32 [batch, length]"
            )
        if port.shape != (None, None):
            raise ModelError(
                f"{where}: input '{name}' has the fixed shape {_shown(port.shape)}, but batches and lengths differ. "
                "Export it again with dynamic axes for batch and length."
            )


def _check_outputs(session: OpenGraph, head: str, outputs: Sequence[str], config: Any, *, where: str) -> None:
    expected = shape_of(head, config)
    for name in outputs:
        found = session.outputs[name].shape
        fits = len(found) == len(expected) and all(
            one is None or other is None or one == other for one, other in zip(found, expected, strict=True)
        )
        if not fits:
            raise ModelError(
                f"{where}: output '{name}' is {_shown(found)}, but a {head} head of this configuration gives "
                f"{_shown(expected)}. Check the head, the labels and which output is meant."
            )


def _shown(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
