"""Measure an existing model next to its reference: every measure, as in a run, in one record."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.artifacts.artifact import Loaded, content_hash
from bench.artifacts.store import Store
from bench.base.errors import BenchError, ModelError
from bench.engine.processes import start_server
from bench.engine.runner import Places, Run
from bench.library.making import artifact_directory, file_reference, reordered, suite_with
from bench.library.progress import is_interactive, watch
from bench.library.results import SuiteLike
from bench.library.running import choose, conditions_of
from bench.plan.cell import plan
from bench.plan.settle import with_labels
from bench.records.record import Record, read_failure, read_record
from bench.spec.recipe import Recipe, RecipeFile
from bench.spec.suite import Task
from bench.systems.folders import file_model, link

if TYPE_CHECKING:
    from torch import nn

GIVEN = "given"  # the recipe and family of what was made elsewhere


def measure(
    artifact: str | Path | nn.Module | Loaded,
    reference: str | Path | nn.Module | Loaded,
    *,
    task: str,
    suite: SuiteLike | None = None,
    name: str = GIVEN,
    tokenizer: Any = None,
    labels: Sequence[str] = (),
    set: Mapping[str, Any] | None = None,  # noqa: A002 (as in `run`)
    seed: int = 0,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> Record:
    """Measure an artifact next to its reference, in fresh processes, as `run` does.

    Nothing is trained, and nothing is kept: the record is returned, not written to a results folder.

    Args:
        artifact: a folder that `save_artifact` or a run wrote, a model, or what `load_artifact` gave.
        reference: what it is compared with, likewise.
        task: the name of the task on which both are evaluated.
        suite: the suite of the task; its setting says how to measure. Needed if several suites have such a task.
        name: what the record calls the recipe.
        tokenizer: the fast tokenizer of modules that have none as an attribute `tokenizer`.
        labels: names of the outputs of a head in their order, for models whose configuration does not name them.
        set: changes of the setting by dotted key: `{"measuring.skip": ["attack"]}`.
        seed: of the random draws in measures.
        data_dir, device, progress: as in `run`.

    Raises:
        BenchError: models, data and task do not fit together, or a measure failed.
    """
    chosen, _ = choose(suite_with(task, suite), ["none"], set or {})
    conditions = conditions_of(device, data_dir or chosen.data_dir, labels)
    chosen, (wanted,) = with_labels(chosen, [chosen.task(task, where="task")], data_dir=conditions.data_dir)
    with tempfile.TemporaryDirectory(prefix="bench-measure-") as scratch:
        root = Path(scratch)
        models = [
            _directory(model, tokenizer, root / name)
            for model, name in ((artifact, "artifact"), (reference, "reference"))
        ]
        store = Store(root / "cache")
        start_server()
        key, own = _filed(models[0], models[1], wanted, store, conditions.outputs)
        cells = plan(
            chosen,
            tasks=[wanted],
            model=str(store.path("references", key)),
            name=GIVEN,
            recipes=[_recipe(name)],
            seeds=[seed],
            conditions=replace(conditions, outputs=()),
        )
        cell = replace(cells[0], reference_key=key, given_artifact=own)
        work = Run(chosen, [cell], places=Places(results=root / "results", store=store))
        watch(work, quiet=not (is_interactive() if progress is None else progress))
        if work.failure_path(cell).exists():
            raise BenchError(f"measuring failed: {read_failure(work.failure_path(cell)).cause}")
        return read_record(work.record_path(cell))


def _directory(model: str | Path | nn.Module | Loaded, tokenizer: Any, target: Path) -> Path:
    """The model's folder on disk; a module is first written to `target`, unchanged."""
    if isinstance(model, str | Path):
        return artifact_directory(Path(model))
    if isinstance(model, Loaded):
        return model.directory
    file_model(model, tokenizer, target, title=GIVEN)
    return target


def _filed(artifact: Path, reference: Path, task: Task, store: Store, labels: Sequence[str]) -> tuple[str, str | None]:
    """File both models in the store; returns their keys, None as the artifact's if it is the reference itself.

    Raises `ModelError` if the head of one is not the task's.
    """
    place = store.path("references", content_hash(reference)[:16])
    file_reference(reference, task, place, labels=labels)
    if artifact == reference or content_hash(artifact) == content_hash(reference):
        return place.name, None
    if reordered(artifact, task, labels=labels):
        raise ModelError(
            f"{artifact}: its outputs are not in the order of the task's labels ({', '.join(task.labels)}). Compress "
            "a reference whose outputs are in that order."
        )
    own = content_hash(artifact)[:16]
    link(artifact, store.path("artifacts", own))
    return place.name, own


def _recipe(name: str) -> Recipe:
    """A recipe without stages, for what was made elsewhere."""
    return Recipe(name=name, base=GIVEN, file=RecipeFile(title=name, family=GIVEN, cite=""), stages=())
