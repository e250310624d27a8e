"""Compressing one model from Python, and models on disk: what `run` would train and compress, without measuring."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.artifacts.artifact import CONFIG, Loaded, content_hash, is_artifact, load, save
from bench.artifacts.manifest import Manifest
from bench.artifacts.source import open_source
from bench.artifacts.store import Store, default_root
from bench.base.errors import ArtifactError, SuiteError
from bench.engine.processes import start_server
from bench.engine.runner import Places, Run
from bench.library.progress import is_interactive, watch
from bench.library.results import DEFAULT_RESULTS, SuiteLike
from bench.library.running import RecipeLike, choose, conditions_of
from bench.models.label_names import names_of
from bench.models.source import ModelSource
from bench.plan.cell import Conditions, plan
from bench.plan.settle import with_labels
from bench.spec.suite import Task, fingerprint, load_suite, suite_names
from bench.systems.folders import file_model, link, tokenizer_of
from bench.tasks.kinds.kind import KINDS

if TYPE_CHECKING:
    from torch import nn


def compress(
    model: str | Path | nn.Module | Loaded,
    recipe: RecipeLike,
    *,
    task: str,
    suite: SuiteLike | None = None,
    tokenizer: Any = None,
    labels: Sequence[str] = (),
    set: Mapping[str, Any] | None = None,  # noqa: A002 (as in `run`)
    seed: int = 0,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    cache: str | Path | None = None,
    progress: bool | None = None,
) -> nn.Module:
    """The model after a recipe, with its tokenizer as `tokenizer` and how it was made as `made`.

    A name or directory is first trained on the task, as in `run`. A module, or what `load_artifact` returned, is used
    as the reference without training. What was trained or compressed before is taken from the cache.

    Args:
        model: a hub id, a directory, a built-in model, a model of transformers with the head of the task, or what
            `load_artifact` gave.
        recipe: a name, the path of a TOML file, a `Variants` or a `Recipe`.
        task: the name of the task whose data are used.
        suite: the suite of the task; needed if several suites have a task of this name.
        tokenizer: the fast tokenizer of a module; by default its attribute `tokenizer`.
        labels: names of the outputs of a trained head in their order, if its configuration does not name them.
        set: changes by dotted key, as in `run`; lists are not grids here.
        seed: of training and of a new head.
        data_dir, device, cache, progress: as in `run`.

    Returns:
        A model in evaluation mode, in a form that `save_artifact` and `measure` take.

    Raises:
        BenchError: an unknown name, data or a model that do not fit, or a recipe that fails on the model.
    """
    chosen, recipes = choose(suite_with(task, suite), [recipe], set or {})
    if len(recipes) != 1:
        raise SuiteError(
            f"{recipes[0].base}: {len(recipes)} recipes, but compress takes one. Give one value per argument."
        )
    store = Store(Path(cache) if cache else default_root())
    conditions, key = conditions_of(device, data_dir or chosen.data_dir, labels), None
    chosen, (wanted,) = with_labels(chosen, [chosen.task(task, where="task")], data_dir=conditions.data_dir)
    if isinstance(model, str | Path):
        named = str(model)
    else:
        key, named = _filed(model, tokenizer, wanted, store, conditions)
        conditions = replace(conditions, outputs=())
    start_server()
    cells = plan(chosen, tasks=[wanted], model=named, recipes=recipes, seeds=[seed], conditions=conditions)
    cell = cells[0] if key is None else replace(cells[0], reference_key=key)
    work = Run(chosen, [cell], places=Places(results=DEFAULT_RESULTS, store=store))
    watch(work, quiet=not (is_interactive() if progress is None else progress), events=work.make())
    made = load(store.path(*cell.artifact_place), device=device)
    return with_tokenizer(made.model, made.tokenizer, made.manifest)


def load_artifact(path: str | Path, *, device: str = "cpu") -> Loaded:
    """The compressed model in a folder, with `model`, `tokenizer` and `manifest` (how it was made).

    Raises `ArtifactError` if a file is missing, altered or of a newer version.
    """
    return load(Path(path), device=device)


def save_artifact(model: nn.Module, path: str | Path, *, tokenizer: Any = None) -> Path:
    """Write a model to the new folder `path` in the form it is stored in, and return the path.

    Args:
        model: what `compress` gave, or any model with a supported head.
        path: must not exist.
        tokenizer: its fast tokenizer; by default the attribute `tokenizer`.

    Raises:
        ArtifactError: the folder exists or cannot be written. ModelError: no tokenizer, or no supported head.
    """
    path = Path(path)
    made: Manifest = getattr(model, "made", Manifest(title=path.name))
    save(model, path, tokenizer=tokenizer_of(model, tokenizer), made=made)
    return path


def with_tokenizer(model: nn.Module, tokenizer: Any, made: Manifest) -> nn.Module:
    """`model` with two more attributes; neither is a parameter, so what it computes and stores stays the same."""
    vars(model).update(tokenizer=tokenizer, made=made)
    return model


def suite_with(task: str, suite: SuiteLike | None) -> SuiteLike:
    """`suite`, or the only one of the package that has `task`; raises `SuiteError` if there are several or none."""
    if suite is not None:
        return suite
    having = [name for name in suite_names() if any(each.name == task for each in load_suite(name).tasks)]
    if len(having) != 1:
        named = f" ({', '.join(having)})" if having else ""
        raise SuiteError(f"{len(having)} suites have a task named '{task}'{named}: choose one with suite=...")
    return having[0]


def file_reference(directory: Path, task: Task, target: Path, *, labels: Sequence[str]) -> None:
    """Put the artifact in `directory` at `target`, its outputs in the order of the task's labels.

    Raises `ModelError` if the head is not the task's, or if its outputs have no distinct labels.
    """
    if not reordered(directory, task, labels=labels):
        link(directory, target)
        return
    source = _source(directory, labels)
    tokenizer = source.tokenizer(lambda: ())
    kind, labelled = KINDS.get(task.kind), task.labels or None
    settings = kind.head_settings(task)
    model = source.build(head=kind.head, labels=labelled, tokenizer=tokenizer, seed=0, settings=settings)
    save(model, target, tokenizer=tokenizer, made=Manifest(title=f"given for {task.name}"))


def reordered(directory: Path, task: Task, *, labels: Sequence[str]) -> bool:
    """Whether the outputs of an artifact are not in the order of the task's labels; raises as `file_reference`."""
    held = _source(directory, labels).held(head=KINDS.get(task.kind).head, labels=task.labels or None)
    return held is not None and bool(held.order)


def _source(directory: Path, labels: Sequence[str]) -> ModelSource:
    """The artifact as a source; `labels` name its outputs if its configuration does not."""
    settings = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    return open_source(str(directory), outputs=() if names_of(settings) else tuple(labels))


def _filed(
    model: nn.Module | Loaded, tokenizer: Any, task: Task, store: Store, conditions: Conditions
) -> tuple[str, str]:
    """File a given model as a reference in the store; returns its key and its directory."""
    store.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.root, prefix=".given-") as scratch:
        draft, ready = Path(scratch) / "draft", Path(scratch) / "ready"
        file_model(model, tokenizer, draft, title="given")
        file_reference(draft, task, ready, labels=conditions.outputs)
        key = fingerprint(["given", content_hash(ready)], 16)
        place = store.path("references", key)
        if not store.has("references", key):
            place.parent.mkdir(parents=True, exist_ok=True)
            ready.rename(place)
    return key, str(place)


def artifact_directory(path: Path) -> Path:
    """`path` if it is an artifact; raises `ArtifactError` with what to do if it is not."""
    if not is_artifact(path):
        raise ArtifactError(f"{path}: not an artifact of bench. `bench.save_artifact(model, path)` writes one.")
    return path
