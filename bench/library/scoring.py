"""Scoring a system that was made elsewhere beside a reference: opened, checked, filed and measured as in a run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.artifacts.store import Store, default_root
from bench.base.errors import ModelError, SuiteError
from bench.engine.processes import start_server
from bench.engine.runner import Places, Run
from bench.library.measuring import GIVEN
from bench.library.results import DEFAULT_RESULTS, Results, SuiteLike, load_results
from bench.library.running import PlannedRun, choose, conditions_of
from bench.plan.as_is import UntrainedError
from bench.plan.cell import Cell, Conditions, plan, require_name
from bench.plan.fit import Fit
from bench.plan.settle import with_labels
from bench.spec.recipe import Recipe, RecipeFile, recipe_names
from bench.spec.suite import Suite, Task
from bench.systems.opening import open_system
from bench.systems.system import FiledSystem, System, TaskOf, Wishes
from bench.tasks.data import load_data

_MOST_HEADS = "Name the tasks that it was made for with --task."


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """What a system is scored beside: a model that is trained as in `run`, or used as it is if it was `given`."""

    model: str
    given: bool
    conditions: Conditions


def score(
    system: Any,
    suite: SuiteLike,
    *,
    reference: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    name: str | None = None,
    labels: Sequence[str] = (),
    reference_labels: Sequence[str] = (),
    tokenizer: Any = None,
    max_length: int | None = None,
    pooling: str | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 (as in `run`)
    seed: int | None = None,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    results: str | Path = DEFAULT_RESULTS,
    cache: str | Path | None = None,
    retry: bool = False,
    progress: bool | None = None,
) -> Results:
    """Measure a system that was made elsewhere beside a reference, and record it: one record per task.

    Everything is checked before anything is trained or timed. What cannot be known of a kind of system is absent in its
    record, with the reason; docs/your-model.md says what that is.

    Args:
        system: a hub id, a folder of transformers, an artifact, `package.module:callable`; or a module of torch with a
            head of transformers, a pipeline of transformers, what `load_artifact` gave, or a function.
        suite: a name, the path of a TOML file, or a `Suite`.
        reference: a hub id or a directory, used as it is if its head fits the task, else trained as in `run`; by
            default the suite's own model, trained.
        tasks: names of tasks; by default all of the suite, which the system's head must then fit.
        name: what records call the system, in place of a recipe; by default its folder's name or its id.
        labels: names of the outputs of the system's head in their order, if it does not name them.
        reference_labels: likewise of the reference.
        tokenizer: the folder of the system's tokenizer, or for a module the fast tokenizer itself.
        max_length: tokens per example, for both models, so that the records have a setting of their own.
        pooling: for retrieval, what a text's vector is: "mean" or "cls"; by default what the model says.
        set: changes by dotted key, as in `run`; lists are not grids here.
        seed: of the reference's training, and of random draws in measures; by default the suite's first.
        data_dir, device, results, cache, retry, progress: as in `run`.

    Raises:
        BenchError: a system that cannot be opened, or does not fit; raised before any training or timing.
    """
    planned = plan_score(
        system,
        suite,
        reference=reference,
        tasks=tasks,
        name=name,
        labels=labels,
        reference_labels=reference_labels,
        tokenizer=tokenizer,
        max_length=max_length,
        pooling=pooling,
        set=set,
        seed=seed,
        data_dir=data_dir,
        device=device,
        results=results,
        cache=cache,
        retry=retry,
    )
    planned.carry_out(progress)
    return planned.found()


def plan_score(
    system: Any,
    suite: SuiteLike,
    *,
    reference: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    name: str | None = None,
    labels: Sequence[str] = (),
    reference_labels: Sequence[str] = (),
    tokenizer: Any = None,
    max_length: int | None = None,
    pooling: str | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 (as in `run`)
    seed: int | None = None,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    results: str | Path = DEFAULT_RESULTS,
    cache: str | Path | None = None,
    retry: bool = False,
) -> PlannedRun:
    """What `score` would do with these arguments: the system is opened, checked and filed, and nothing is started."""
    plain, _ = choose(suite, ["none"], {})
    wanted_names = list(tasks) if tasks else [task.name for task in plain.tasks]
    lengths = {} if max_length is None else {f"{task}.max_length": max_length for task in wanted_names}
    chosen, _ = choose(suite, ["none"], {**(set or {}), **lengths})
    model = reference or chosen.model
    if model is None:
        raise SuiteError(f"suite {chosen.name} has no default model. Give one with --reference.")
    conditions = conditions_of(device, data_dir or chosen.data_dir, reference_labels)
    outputs = conditions_of(device, None, labels).outputs
    wanted = [chosen.task(each, where="--task") for each in wanted_names]
    chosen, wanted = with_labels(chosen, wanted, data_dir=conditions.data_dir)
    start_server()
    store = Store(Path(cache) if cache else default_root())
    beside = _Reference(model=str(model), given=reference is not None, conditions=conditions)
    path = Path(tokenizer) if isinstance(tokenizer, str | Path) else None
    wishes = Wishes(labels=outputs, tokenizer=path, pooling=pooling)
    with tempfile.TemporaryDirectory(prefix="bench-score-") as scratch:
        opened = open_system(system, wishes, Path(scratch), tokenizer=None if path else tokenizer)
        recipe = _recipe(_called(opened, name))
        cells = []
        for task in wanted:
            filed = _filed(opened, task, chosen, store, conditions, several=len(wanted) > 1)
            cell = _beside(beside, chosen, task, recipe, chosen.seeds[0] if seed is None else seed)
            fit = _joined(cell.fit, filed.fit)
            cells.append(replace(cell, given_artifact=filed.key, system=opened.stated(), fit=fit))
    work = Run(chosen, cells, places=Places(results=Path(results), store=store), retry=retry)
    _refuse_namesakes(cells, Path(results), chosen, work.machine_id)
    return PlannedRun(suite=chosen, cells=cells, work=work, store=store)


def _filed(
    system: System, task: Task, suite: Suite, store: Store, conditions: Conditions, *, several: bool
) -> FiledSystem:
    """The system in the store, with the head of the task; raises `ModelError` if it does not fit it."""
    trained = suite.task(task.trained_on) if task.trained_on else task
    data = load_data(trained, data_dir=conditions.data_dir)
    try:
        return system.file(TaskOf(trained, suite, data), store)
    except ModelError as error:
        raise ModelError(f"{error} {_MOST_HEADS}" if several else str(error)) from error


def _beside(reference: _Reference, suite: Suite, task: Task, recipe: Recipe, seed: int) -> Cell:
    """The cell of a system on one task, without the system."""

    def planned(as_is: bool) -> Cell:
        return plan(
            suite,
            tasks=[task],
            model=reference.model,
            recipes=[recipe],
            seeds=[seed],
            conditions=replace(reference.conditions, as_is=as_is),
        )[0]

    if not reference.given:
        return planned(as_is=False)
    try:
        return planned(as_is=True)
    except UntrainedError:
        return planned(as_is=False)
    except ModelError as error:  # the reference's own labels have an option of their own
        raise ModelError(f"--reference {error}".replace("--labels", "--reference-labels")) from error


def _called(system: System, name: str | None) -> str:
    """What records call the system; raises `ModelError` for a name that is none, or that is a recipe's."""
    require_name(name)
    called = system.stated().name if name is None else name
    if called in recipe_names():
        raise ModelError(f"--name: '{called}' is the name of a recipe. Choose another name for the system.")
    return called


def _recipe(name: str) -> Recipe:
    """A recipe without stages, for what was made elsewhere."""
    return Recipe(name=name, base=GIVEN, file=RecipeFile(title=name, family=GIVEN, cite=""), stages=())


def _joined(reference: Fit | None, system: Fit) -> Fit:
    """What was found of the reference and the texts, and of the system."""
    known = reference or Fit(conditions={})
    also = tuple(each for each in system.warnings if each not in known.warnings)
    return replace(
        known,
        conditions={**known.conditions, **({"system": system.conditions} if system.conditions else {})},
        warnings=(*known.warnings, *also),
    )


def _refuse_namesakes(cells: Sequence[Cell], results: Path, suite: Suite, machine: str) -> None:
    """Raise `ModelError` if another system of the same name is on the same board already."""
    if not (results / suite.name / machine).is_dir():
        return
    known = load_results(results, suite, machine=machine, setting=suite.setting_id).records
    for cell in cells:
        for record in known:
            same = (record.task, record.recipe, record.seed, record.model) == (
                *(cell.task.name, cell.recipe.name, cell.seed),
                cell.model_name,
            )
            found = record.provenance.get("made_from", {}).get("given")
            if same and found != cell.given_artifact:
                raise ModelError(
                    f"--name: the results have another system called '{cell.recipe.name}' on task {cell.task.name} "
                    "beside this reference. Choose another name."
                )
