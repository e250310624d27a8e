"""`bench table`, `bench leaderboard` and `bench pareto`: what the records say."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.board import FORMAT, MACHINE, OUT, OUTS, RESULTS, RUNTIME, SETTING, TASK, put


def table(
    suite: str | None = typer.Argument(None, help="Only records of this suite, by its name or the path of its file."),
    column: list[str] = typer.Option([], help="Show this column (repeatable); default: the main ones."),
    shifted: bool = typer.Option(False, "--shifted", help="One row per shifted set of a record and part of the set."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    runtime: str | None = RUNTIME,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: Path | None = OUT,
) -> None:
    """List every record, one row each.

    Each missing value has a reason.
    """
    import bench
    from bench.base.errors import RecordError
    from bench.library.results import no_records, suite_of

    if suite is not None and results.is_dir():
        known = sorted(path.name for path in results.iterdir() if path.is_dir() and not path.name.startswith("."))
        name = suite_of(suite).name if suite.endswith(".toml") else suite
        if name not in known:
            hint = f" Records found of: {', '.join(known)}." if known else ""
            raise RecordError(f"{no_records(suite, results)}{hint}")
        results = results / name
    found = bench.load_results(results, machine=machine, setting=setting, tasks=task, runtime=runtime)
    if shifted and column:
        raise RecordError("--shifted has columns of its own. Leave out --column or --shifted.")
    put(found.shifted() if shifted else found.table(column), format_, out)


def leaderboard(
    suite: str = typer.Argument(help="The suite's name, or the path of its file."),
    track: str | None = typer.Option(None, help="One of the suite's tracks; default: macro quality."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    runtime: str | None = RUNTIME,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: Path | None = OUT,
) -> None:
    """Rank the recipes over all tasks that were run.

    Different machines or settings are never ranked together.
    """
    import bench

    found = bench.load_results(results, suite, machine=machine, setting=setting, tasks=task, runtime=runtime)
    put(found.leaderboard(track), format_, out)


def pareto(
    suite: str = typer.Argument(help="The suite's name, or the path of its file."),
    x: str = typer.Option("flops", help="Column of the horizontal axis."),
    y: str = typer.Option("quality", help="Column of the vertical axis."),
    also: list[str] = typer.Option([], help="Another column of the front (repeatable)."),
    reference: str | None = typer.Option(None, help="The hypervolume's reference point: X=VALUE,Y=VALUE."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    runtime: str | None = RUNTIME,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: list[Path] = OUTS,
) -> None:
    """List or plot the recipes that no other recipe dominates.

    A recipe dominates another if it is at least as good in every column and better in one.
    """
    import bench

    found = bench.load_results(results, suite, machine=machine, setting=setting, tasks=task, runtime=runtime)
    point = None if reference is None else _point(reference)
    put(found.pareto(x, y, also=also, reference=point), format_, out)


def _point(text: str) -> dict[str, float]:
    """The reference point in `flops=2e10,quality=0.5`."""
    from bench.base.errors import RecordError

    point = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            point[name.strip()] = float(value)
        except ValueError as error:
            raise RecordError(f"--reference: expected COLUMN=NUMBER,COLUMN=NUMBER, found '{part}'") from error
    return point
