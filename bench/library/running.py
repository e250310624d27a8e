"""Running a suite from Python: plan the cells first, then run every cell that has no record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bench.analysis.paired import StoredRecord
from bench.artifacts.store import Store, default_root
from bench.base.errors import ModelError, SuiteError, unknown
from bench.engine.processes import start_server
from bench.engine.runner import Places, Run
from bench.library.overrides import split
from bench.library.progress import is_interactive, watch
from bench.library.results import DEFAULT_RESULTS, Results, SuiteLike, suite_of
from bench.models.label_names import FRESH
from bench.plan.cell import Cell, Conditions, plan
from bench.plan.check import check_suite
from bench.plan.recipes import expand, merged
from bench.records.record import read_failure, read_record
from bench.spec.recipe import Recipe, base_of
from bench.spec.suite import Suite, Variants, changed, load_suite

RecipeLike: TypeAlias = "str | Path | Recipe | Variants"


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """The cells of a run and everything needed to run them; nothing has been started."""

    suite: Suite
    cells: list[Cell]
    work: Run
    store: Store

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about model and texts before training."""
        return tuple(dict.fromkeys(says for cell in self.cells if cell.fit for _, says in cell.fit.warnings))

    def carry_out(self, progress: bool | None) -> None:
        """Run what is left of the cells; `progress` shows it on standard error, by default only on a terminal."""
        try:
            watch(self.work, quiet=not (is_interactive() if progress is None else progress))
        finally:
            self.work.stop()

    def found(self) -> Results:
        """The records and failures of the cells, as far as they are written."""
        paths = [path for cell in self.cells if (path := self.work.record_path(cell)).exists()]
        failed = [path for cell in self.cells if (path := self.work.failure_path(cell)).exists()]
        return Results(
            found=tuple(StoredRecord(record=read_record(path), path=path) for path in paths),
            failures=tuple(map(read_failure, failed)),
            known=self.suite,
        )

    def copy_artifacts(self, target: Path) -> None:
        """Copy each model below `target`, under a readable name; that of a recipe without stages is the reference."""
        for cell in self.cells:
            if self.store.has(*cell.artifact_place):
                shutil.copytree(self.store.path(*cell.artifact_place), target / cell.slug, dirs_exist_ok=True)


def run(
    suite: SuiteLike,
    model: str | Path | None = None,
    *,
    recipes: Sequence[RecipeLike] | None = None,
    tasks: Sequence[str] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 (the name of the command's option)
    seeds: Sequence[int] | None = None,
    name: str | None = None,
    labels: Sequence[str] = (),
    as_is: bool = False,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    results: str | Path = DEFAULT_RESULTS,
    cache: str | Path | None = None,
    artifacts: str | Path | None = None,
    jobs: int = 1,
    retry: bool = False,
    progress: bool | None = None,
) -> Results:
    """Compress, measure and record every cell of a suite that has no record yet.

    Child processes do the work, so a script needs no main guard and a notebook can be interrupted. If interrupted, call
    it again to resume. A cell that fails does not stop the others: see `Results.failures`.

    Args:
        suite: a name, the path of a TOML file, or a `Suite`.
        model: a hub id, a directory or a built-in model; by default the suite's own.
        recipes: names, paths, `Variants` or `Recipe` objects; by default the suite's own.
        tasks: names of tasks; by default all of the suite.
        set: changes by dotted key, as `--set` of the command: `{"training.epochs": 1, "svd.ratio": [0.25, 0.5]}`.
        seeds: by default the suite's own.
        name: the model's name in records; by default its folder's or its id.
        labels: names of the outputs of the model's trained head in their order, or `["fresh"]` for a new head.
        as_is: use the model's own trained head as the reference, without training; recipes train as the setting says.
        data_dir: a folder of data sets, used instead of the hub.
        device: `cpu` or `cuda`.
        results: the folder that records go to.
        cache: the folder of references and artifacts; by default BENCH_CACHE or the user's cache directory.
        artifacts: copy each model into this folder as well, for a recipe without stages the reference.
        jobs: trainings to run in parallel; measuring always runs alone.
        retry: also run the cells that failed before.
        progress: whether to show progress on standard error; by default only on a terminal.

    Returns:
        The records of these cells, new ones and earlier ones.

    Raises:
        BenchError: the suite, the model, the data or a folder cannot be used; raised before any training.
    """
    planned = plan_run(
        suite,
        model,
        recipes=recipes,
        tasks=tasks,
        set=set,
        seeds=seeds,
        name=name,
        labels=labels,
        as_is=as_is,
        data_dir=data_dir,
        device=device,
        results=results,
        cache=cache,
        jobs=jobs,
        retry=retry,
    )
    planned.carry_out(progress)
    if artifacts is not None:
        planned.copy_artifacts(Path(artifacts))
    return planned.found()


def plan_run(
    suite: SuiteLike,
    model: str | Path | None = None,
    *,
    recipes: Sequence[RecipeLike] | None = None,
    tasks: Sequence[str] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 (as in `run`)
    seeds: Sequence[int] | None = None,
    name: str | None = None,
    labels: Sequence[str] = (),
    as_is: bool = False,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    results: str | Path = DEFAULT_RESULTS,
    cache: str | Path | None = None,
    jobs: int = 1,
    retry: bool = False,
) -> PlannedRun:
    """What `run` would do with these arguments; reads model and data once, and raises what `run` raises."""
    chosen, listed = choose(suite, recipes, set or {})
    of = model or chosen.model
    if of is None:
        raise SuiteError(f"suite {chosen.name} has no default model. Give one with --model.")
    wanted = [chosen.task(each, where="--task") for each in tasks] if tasks else list(chosen.tasks)
    conditions = conditions_of(device, data_dir or chosen.data_dir, labels, as_is=as_is)
    start_server()
    store = Store(Path(cache) if cache else default_root())
    cells = plan(
        chosen,
        tasks=wanted,
        model=str(of),
        name=name,
        recipes=listed,
        seeds=seeds or chosen.seeds,
        conditions=conditions,
    )
    work = Run(chosen, cells, places=Places(results=Path(results), store=store), jobs=jobs, retry=retry)
    return PlannedRun(suite=chosen, cells=cells, work=work, store=store)


def choose(
    suite: SuiteLike, recipes: Sequence[RecipeLike] | None, changes: Mapping[str, Any]
) -> tuple[Suite, list[Recipe]]:
    """The suite and its recipes with every change applied."""
    plain = suite_of(suite)
    choices = _choices(plain, recipes)
    named = [_stem(choice) for choice in choices if not isinstance(choice, Recipe)]
    setting, by_recipe = split(changes, recipes=named, tasks=[task.name for task in plain.tasks])
    own = plain
    if setting:
        own = changed(plain, setting) if isinstance(suite, Suite) else load_suite(str(suite), overrides=setting)
    check_suite(own, where=own.name if isinstance(suite, Suite) else str(suite))
    found: list[Recipe] = []
    for choice in choices:
        if isinstance(choice, Recipe):
            found.append(choice)
        else:
            found += expand(choice, by_recipe.get(_stem(choice)), where="--recipe")
    return own, found


def standing_for(
    suite: SuiteLike,
    model: str | Path | None = None,
    *,
    recipes: Sequence[str | Path | Variants] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 (as in `run`)
    seeds: Sequence[int] | None = None,
    data_dir: str | Path | None = None,
) -> Suite:
    """The suite that a run with these arguments stands for: run alone, it has the very same cells."""
    changes = set or {}
    own, _ = choose(suite, recipes, changes)
    plain = suite_of(suite)
    choices = [choice for choice in _choices(plain, recipes) if isinstance(choice, Variants)]
    _, by_recipe = split(changes, recipes=[_stem(each) for each in choices], tasks=[task.name for task in plain.tasks])
    merging = [merged(choice, by_recipe.get(_stem(choice))) for choice in choices]
    stated = {
        "model": None if model is None else str(model),
        "seeds": tuple(seeds or ()),
        "data_dir": None if data_dir is None else str(data_dir),
        "recipes": tuple(each if each.set else each.recipe for each in merging),
    }
    return own.model_copy(update={key: value for key, value in stated.items() if value})


def conditions_of(
    device: str, data_dir: str | Path | None, labels: Sequence[str], *, as_is: bool = False
) -> Conditions:
    """The conditions of a run; raises `BenchError` for an impossible device or labels."""
    return Conditions(
        device=_device(device),
        data_dir=None if data_dir is None else Path(data_dir),
        outputs=_outputs(labels),
        as_is=as_is,
    )


def _choices(suite: Suite, recipes: Sequence[RecipeLike] | None) -> list[Variants | Recipe]:
    """The recipes to run; a recipe of the suite is run with the suite's arguments."""
    own = [choice if isinstance(choice, Variants) else Variants(recipe=choice) for choice in suite.recipes]
    if not recipes:
        return list(own)
    found: list[Variants | Recipe] = []
    for each in recipes:
        if isinstance(each, Variants | Recipe):
            found.append(each)
        else:
            found += [choice for choice in own if choice.recipe == str(each)] or [Variants(recipe=str(each))]
    return found


def _stem(choice: Variants) -> str:
    return base_of(choice.recipe)


def _outputs(labels: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in ([labels] if isinstance(labels, str) else labels))
    if names and (not all(names) or (len(names) < 2 and names != FRESH)):
        raise ModelError(
            f"--labels: expected two or more labels separated by commas, such as negative,positive, or '{FRESH[0]}' "
            f"for a new head, found {','.join(names)!r}"
        )
    return names


def _device(name: str) -> str:
    if name not in ("cpu", "cuda"):
        raise unknown("device", name, ("cpu", "cuda"), where="--device")
    if name == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise SuiteError("--device cuda: torch finds no CUDA device. Use --device cpu.")
    return name
