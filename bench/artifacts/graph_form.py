"""A model that another runtime runs, as data: what layers.json says of its graph, and its files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from bench.base.errors import ArtifactError, UnknownNameError
from bench.base.schema import Frozen
from bench.runtimes.graph_model import GraphComparison, GraphModel
from bench.runtimes.runtime import GraphRuntime, Precision, graph_runtime


class GraphForm(Frozen):
    """What, next to `config.json` and the files of its runtime, rebuilds a `GraphModel`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runtime: str
    head: str
    files: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: Precision
    layers: int | None
    compared: GraphComparison | None = None


def write_graph(model: GraphModel, directory: Path) -> GraphForm:
    """Put the graph's files into `directory`, and return what layers.json says of them."""
    graph = model.graph
    for name, content in graph.files.items():
        if isinstance(content, bytes):
            (directory / name).write_bytes(content)
        else:
            shutil.copyfile(content, directory / name)
    return GraphForm(
        runtime=graph.runtime,
        head=graph.head,
        files=tuple(graph.files),
        outputs=graph.outputs,
        precision=graph.precision,
        layers=graph.layers,
        compared=graph.compared,
    )


def read_graph(directory: Path, form: GraphForm, config: Any) -> GraphModel:
    """The model of the graph in `directory`, whose files were verified.

    Raises:
        ArtifactError: an unknown runtime, or files that it does not read. ModelError: a graph that does not fit.
        UnavailableError: the runtime is not installed.
    """
    try:
        runtime = graph_runtime(form.runtime, where=str(directory))
    except UnknownNameError as error:
        raise ArtifactError(f"{error} It may need a newer bench, or the plug-in that made it.") from error
    return GraphModel.from_files(
        form.runtime,
        {name: directory / name for name in _named(runtime, form, directory)},
        config,
        form.head,
        form.outputs,
        precision=form.precision,
        layers=form.layers,
        compared=form.compared,
        where=str(directory),
    )


def _named(runtime: GraphRuntime, form: GraphForm, directory: Path) -> tuple[str, ...]:
    """The runtime's own names of its files: what an artifact says never becomes a path."""
    if set(form.files) != set(runtime.files):
        raise ArtifactError(
            f"{directory}: runtime '{form.runtime}' reads {', '.join(runtime.files)}, but the artifact names "
            f"{', '.join(form.files) or 'no file'}. Make the artifact again."
        )
    return runtime.files
