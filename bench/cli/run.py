"""`bench run`: run the cells of a suite, show progress, end with the board and how the time was spent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.base.errors import ModelError, SuiteError, unknown

if TYPE_CHECKING:
    from bench.artifacts.store import Store
    from bench.engine.events import Summary
    from bench.plan.cell import Cell
    from bench.spec.recipe import Recipe
    from bench.spec.suite import Suite


def run(
    suite: str = typer.Argument(help="A suite's name, or a path to a TOML file. `bench list suites` names them."),
    model: str | None = typer.Option(None, help="Hub id, local directory or built-in; default: the suite's own."),
    name: str | None = typer.Option(None, help="The model's name in records and boards; default: its folder or id."),
    labels: str | None = typer.Option(
        None, help="Names of the outputs of --model's trained head in their order, a,b,...; 'fresh' for a new head."
    ),
    recipe: list[str] = typer.Option([], help="Run only this recipe (repeatable); may be a path to a TOML file."),
    task: list[str] = typer.Option([], help="Run only this task (repeatable)."),
    seed: list[int] = typer.Option([], help="Run with this seed (repeatable); default: the suite's."),
    data_dir: Path | None = typer.Option(None, help="Local data in the standard layout, in place of the hub."),
    device: str = typer.Option("cpu", help="cpu or cuda."),
    results: Path = typer.Option(Path("results"), help="Where records go."),
    cache: Path | None = typer.Option(None, help="Where references and artifacts go; default: BENCH_CACHE."),
    artifacts: Path | None = typer.Option(None, help="Also copy each compressed model here, under a readable name."),
    jobs: int = typer.Option(1, min=1, help="Trainings side by side; measuring always runs alone."),
    assignments: list[str] = typer.Option([], "--set", help="KEY=VALUE: a key of the setting, or RECIPE.ARGUMENT."),
    retry: bool = typer.Option(False, "--retry", help="Run cells again that failed before."),
) -> None:
    """Compress, measure and record every cell of SUITE; run again, it goes on where it stopped."""
    from bench.artifacts.store import Store, default_root
    from bench.cli.board import print_board
    from bench.cli.progress import watch
    from bench.engine.processes import start_server
    from bench.engine.runner import Places, Run
    from bench.plan.cell import Conditions, plan

    started = time.perf_counter()
    chosen, recipes = _choose(suite, recipe, assignments)
    chosen_model = model or chosen.model
    if chosen_model is None:
        raise SuiteError(f"suite {chosen.name} has no model of its own: give one with --model")
    start_server()
    places = Places(results=results, store=Store(cache or default_root()))
    cells = plan(
        chosen,
        tasks=[chosen.task(each, where="--task") for each in task] or list(chosen.tasks),
        model=chosen_model,
        name=name,
        recipes=recipes,
        seeds=seed or chosen.seeds,
        conditions=Conditions(device=_device(device), data_dir=data_dir, outputs=_outputs(labels)),
    )
    for says in dict.fromkeys(says for cell in cells if cell.fit for _, says in cell.fit.warnings):
        typer.echo(f"warning: {says}", err=True)
    job = Run(chosen, cells, places=places, jobs=jobs, retry=retry)
    try:
        watch(job)
    except KeyboardInterrupt:
        job.stop()
        typer.echo("stopped; run the same command again to go on", err=True)
        raise typer.Exit(130) from None
    if artifacts is not None:
        _copy_artifacts(cells, places.store, artifacts)
    print_board(chosen, results, job.machine_id)
    if job.summary.recorded or job.summary.failed:
        _print_split(job.summary, time.perf_counter() - started)
    if job.summary.failed:
        typer.echo(f"{job.summary.failed} of {len(cells)} cells failed; their notes are *.failed.json below {results}")
        raise typer.Exit(1)


def _choose(name: str, only: list[str], assignments: list[str]) -> tuple[Suite, list[Recipe]]:
    """The suite and its recipes with every override applied."""
    from bench.cli.overrides import split
    from bench.plan.check import check_suite
    from bench.plan.recipes import expand
    from bench.spec.suite import Variants, load_suite

    plain = load_suite(name)
    choices = [choice if isinstance(choice, Variants) else Variants(recipe=choice) for choice in plain.recipes]
    if only:
        in_suite = {each: [choice for choice in choices if choice.recipe == each] for each in only}
        choices = [choice for each in only for choice in in_suite[each] or [Variants(recipe=each)]]
    setting, by_recipe = split(
        assignments,
        recipes=[Path(choice.recipe).stem for choice in choices],
        tasks=[task.name for task in plain.tasks],
    )
    suite = load_suite(name, overrides=setting) if setting else plain
    check_suite(suite, where=name)
    recipes = [
        recipe
        for choice in choices
        for recipe in expand(choice, by_recipe.get(Path(choice.recipe).stem), where="--recipe")
    ]
    return suite, recipes


def _outputs(labels: str | None) -> tuple[str, ...]:
    """The names that `--labels` gives, in their order."""
    from bench.models.label_names import FRESH

    if labels is None:
        return ()
    names = tuple(name.strip() for name in labels.split(","))
    if not all(names) or (len(names) < 2 and names != FRESH):
        raise ModelError(
            f"--labels: found {labels!r}, expected the names of two or more outputs with commas between them, such as "
            f"negative,positive, or '{FRESH[0]}' for a new head"
        )
    return names


def _device(name: str) -> str:
    if name not in ("cpu", "cuda"):
        raise unknown("device", name, ("cpu", "cuda"), where="--device")
    if name == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise SuiteError("--device cuda: torch sees no CUDA device here; use --device cpu")
    return name


def _copy_artifacts(cells: list[Cell], store: Store, target: Path) -> None:
    import shutil

    for cell in cells:
        if cell.stage_keys and store.has("artifacts", cell.stage_keys[-1]):
            shutil.copytree(store.path("artifacts", cell.stage_keys[-1]), target / cell.slug, dirs_exist_ok=True)


def _print_split(summary: Summary, wall_s: float) -> None:
    """Where the time went: the share that is neither training, evaluating nor measuring is the program's own cost."""
    parts = {**summary.spans._asdict(), "other": summary.other_s}
    total = sum(parts.values())
    split = ", ".join(f"{name} {seconds:.1f} s ({seconds / total:.0%})" for name, seconds in parts.items())
    typer.echo(f"{summary.recorded} records in {wall_s:.0f} s: {split}")
