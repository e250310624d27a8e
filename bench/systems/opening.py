"""From what a user gives to the system that it is: told by its form, and refused by name if bench cannot open it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bench.artifacts.artifact import Loaded
from bench.artifacts.functions import import_function, importable_name, is_function, load_function
from bench.artifacts.source import ArtifactSource, open_folder, open_source
from bench.base.errors import ModelError
from bench.models.checkpoint import CheckpointSource
from bench.models.label_names import FRESH
from bench.systems.checkpoints import ArtifactSystem, CheckpointSystem, ModelSystem
from bench.systems.folders import file_model, with_tokenizer_of
from bench.systems.functions import FunctionSystem
from bench.systems.graphs import GraphArtifactSystem, graph_file, holds_graph, open_graph
from bench.systems.refused import SUPPORTED, refuse_file
from bench.systems.system import System, Wishes

FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")  # package.module:callable


def names_function(system: str) -> bool:
    """Whether a system is named as a function that is imported, `package.module:callable`."""
    return FUNCTION.fullmatch(system) is not None and not Path(system).exists()


def open_system(system: Any, wishes: Wishes, scratch: Path, *, tokenizer: Any = None) -> System:
    """Open a system without loading it.

    Args:
        system: a hub id, a path, `package.module:callable`; or a module of torch, what `load_artifact` gave, a pipeline
            of transformers, or a function.
        wishes: what the user says of it.
        scratch: an empty folder for what must be written to be filed; it is needed until the system is filed.
        tokenizer: the fast tokenizer of a module.

    Raises:
        ModelError: nothing of that name, or a form that bench does not open.
    """
    if wishes.labels == FRESH:
        raise ModelError(f"--labels {FRESH[0]}: a system is scored with its own head; `bench run` trains a new one")
    if not isinstance(system, str | Path):
        return _open_object(system, wishes, scratch, tokenizer=tokenizer)
    named = str(system)
    if names_function(named):
        return FunctionSystem(function=import_function(named), wishes=wishes)
    path = Path(named).expanduser()
    graph = graph_file(path)
    if graph is not None:
        return open_graph(graph, wishes)
    refuse_file(path)
    if path.suffix == ".safetensors" and path.is_file():
        path = path.parent
    if path.is_dir() and is_function(path):
        load_function(path)  # which refuses it, since nobody named the function
    if path.is_dir() and holds_graph(path):
        return GraphArtifactSystem(directory=path, name=path.resolve().name, wishes=wishes)
    return _opened(str(path) if path.exists() else named, wishes, scratch)


def _opened(named: str, wishes: Wishes, scratch: Path) -> CheckpointSystem:
    """A checkpoint or an artifact, with the tokenizer of another folder if the user says so."""
    folder = Path(named)
    shown = (folder.resolve().name or "model") if folder.is_dir() else named
    if wishes.tokenizer is not None and folder.is_dir():
        with_tokenizer_of(folder, wishes.tokenizer, scratch / shown)
        named = str(scratch / shown)
    elif wishes.tokenizer is not None:
        raise ModelError(f"{named}: --tokenizer needs the model in a folder. Download it there first.")
    source = open_source(named, outputs=wishes.labels)
    if not isinstance(source, CheckpointSource):
        raise ModelError(f"{named}: a built-in model is untrained, so there is nothing to score. {SUPPORTED}")
    form = ArtifactSystem if isinstance(source, ArtifactSource) else CheckpointSystem
    return form(source=source, name=shown, wishes=wishes)


def _open_object(system: Any, wishes: Wishes, scratch: Path, *, tokenizer: Any) -> System:
    """A system that is an object of Python."""
    from torch import nn

    if not isinstance(system, nn.Module | Loaded) and isinstance(getattr(system, "model", None), nn.Module):
        tokenizer = getattr(system, "tokenizer", None) if tokenizer is None else tokenizer  # a pipeline
        system = system.model
    if isinstance(system, nn.Module | Loaded):
        name = system.directory.name if isinstance(system, Loaded) else type(system).__name__
        file_model(system, tokenizer, scratch / "given", title=name)
        if holds_graph(scratch / "given"):
            return GraphArtifactSystem(directory=scratch / "given", name=name, wishes=wishes)
        folder = str(scratch / "given")
        return ModelSystem(source=open_folder(folder, outputs=wishes.labels), name=name, wishes=wishes)
    if callable(system):
        return FunctionSystem(function=import_function(importable_name(system)), wishes=wishes)
    raise ModelError(f"{type(system).__name__}: not a form that can be scored. {SUPPORTED}")
