"""`bench table`, `bench leaderboard` and `bench pareto`: what the records say."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer

from bench.cli.board import narrowed, of_one_setting, put, put_all, tasks_with_records

RESULTS = typer.Option(Path("results"), help="The folder of records.")
FORMAT = typer.Option("table", "--format", help="table, md, csv or json.")
OUT = typer.Option(None, help="Write to this file instead; .md, .csv and .json choose the format.")
MACHINE = typer.Option(None, help="Only records of this machine id.")
SETTING = typer.Option(None, help="Only records of this setting id.")
TASK = typer.Option([], help="Only this task (repeatable).")


def table(
    suite: str | None = typer.Argument(None, help="Only records of this suite."),
    column: list[str] = typer.Option([], help="Show this column (repeatable); default: a choice of them."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: Path | None = OUT,
) -> None:
    """Every record, a row each, with each missing value explained."""
    from bench.analysis.table import table_of
    from bench.base.errors import RecordError, unknown

    if not results.is_dir():
        raise RecordError(
            f"{results}: no such folder. Make records with `bench run SUITE`, or name one with --results."
        )
    suites = sorted(path.name for path in results.iterdir() if path.is_dir() and not path.name.startswith("."))
    if suite is not None and suite not in suites:
        raise unknown("suite with records", suite, suites, where=str(results))
    chosen = [suite] if suite else suites
    found = [narrowed(results, name, machine=machine, setting=setting, tasks=task) for name in chosen]
    records = [record for part, _ in found for record in part]
    failures = [failure for _, part in found for failure in part]
    put(table_of(records, column or None, failures), format_, out)


def leaderboard(
    suite: str = typer.Argument(help="The suite's name, or the path of its file."),
    track: str | None = typer.Option(None, help="One of the suite's tracks; default: macro quality."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: Path | None = OUT,
) -> None:
    """Recipes in order, over every task that was run; refuses to rank different machines or settings together."""
    from bench.analysis.leaderboard import leaderboard as rank
    from bench.spec.suite import load_suite

    chosen = load_suite(suite)
    found = narrowed(results, chosen.name, machine=machine, setting=setting, tasks=task)
    records, failures = of_one_setting(chosen, found)
    board = rank(chosen, records, track, failures=failures, tasks=tasks_with_records(chosen, records, failures))
    put(board.table(), format_, out)


def pareto(
    suite: str = typer.Argument(help="The suite's name, or the path of its file."),
    x: str = typer.Option("flops", help="Column of the horizontal axis."),
    y: str = typer.Option("quality", help="Column of the vertical axis."),
    also: list[str] = typer.Option([], help="A further column that the front weighs (repeatable)."),
    reference: str | None = typer.Option(None, help="The hypervolume's reference point: X=VALUE,Y=VALUE."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: list[Path] = typer.Option(
        [], help="Write to this file (repeatable): .png or .svg draws, .md .csv .json list."
    ),
) -> None:
    """The recipes that no other recipe beats in every column, listed and drawn."""
    from bench.analysis.pareto import pareto as find
    from bench.report.plot import draw_front
    from bench.spec.suite import load_suite

    chosen = load_suite(suite)
    found = narrowed(results, chosen.name, machine=machine, setting=setting, tasks=task)
    records, failures = of_one_setting(chosen, found)
    front = find(
        chosen,
        records,
        [x, y, *also],
        failures=failures,
        tasks=tasks_with_records(chosen, records, failures),
        reference=_point(reference) if reference is not None else None,
    )
    put_all(front.table(), format_, out, draw=partial(draw_front, front))


def _point(text: str) -> dict[str, float]:
    """The reference point in `flops=2e10,quality=0.5`."""
    from bench.base.errors import RecordError

    point = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            point[name.strip()] = float(value)
        except ValueError as error:
            raise RecordError(f"--reference: expected COLUMN=NUMBER with commas between, found '{part}'") from error
    return point
