"""`bench run`: run the cells of a suite, show progress, end with the board and how the time was spent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.base.errors import SuiteError
from bench.cli.board import put

if TYPE_CHECKING:
    from bench.engine.events import Summary
    from bench.library.running import PlannedRun


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
    from bench.library.progress import watch
    from bench.library.running import plan_run

    started = time.perf_counter()
    planned = plan_run(
        suite,
        model,
        recipes=recipe,
        tasks=task,
        set=_changes(assignments),
        seeds=seed,
        name=name,
        labels=() if labels is None else labels.split(","),
        data_dir=data_dir,
        device=device,
        results=results,
        cache=cache,
        jobs=jobs,
        retry=retry,
    )
    for says in planned.warnings:
        typer.echo(f"warning: {says}", err=True)
    try:
        watch(planned.work)
    except KeyboardInterrupt:
        planned.work.stop()
        typer.echo("stopped; run the same command again to go on", err=True)
        raise typer.Exit(130) from None
    if artifacts is not None:
        planned.copy_artifacts(artifacts)
    _print_board(planned, results)
    summary = planned.work.summary
    if summary.recorded or summary.failed:
        _print_split(summary, time.perf_counter() - started)
    if summary.failed:
        typer.echo(
            f"{summary.failed} of {len(planned.cells)} cells failed; their notes are *.failed.json below {results}"
        )
        raise typer.Exit(1)


def _changes(assignments: list[str]) -> dict[str, Any]:
    """What `--set KEY=VALUE` gives, by key."""
    from bench.base.schema import toml_value

    found = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise SuiteError(f"--set {assignment}: expected KEY=VALUE, for example --set training.epochs=1")
        found[key.strip()] = toml_value(text.strip())
    return found


def _print_board(planned: PlannedRun, results: Path) -> None:
    """The leaderboard of this machine and the suite's present setting; the records if no task of them counts."""
    import bench

    suite = planned.suite
    found = bench.load_results(results, suite, machine=planned.work.machine_id, setting=suite.setting_id)
    if found.records and {*found.tasks(suite)} - {*suite.macro_excludes}:
        put(found.leaderboard(), "table")
    elif found.records:
        put(found.table(), "table")


def _print_split(summary: Summary, wall_s: float) -> None:
    """Where the time went: the share that is neither training, evaluating nor measuring is the program's own cost."""
    parts = {**summary.spans._asdict(), "other": summary.other_s}
    total = sum(parts.values())
    split = ", ".join(f"{name} {seconds:.1f} s ({seconds / total:.0%})" for name, seconds in parts.items())
    typer.echo(f"{summary.recorded} records in {wall_s:.0f} s: {split}")
