"""`bench compare`: two recipes of a suite, or two results folders, side by side, with a verdict per column."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.cli.board import FORMAT, MACHINE, OUT, RESULTS, SETTING, TASK, put

if TYPE_CHECKING:
    from bench.analysis.comparison import Comparison

_CONDITIONS = ("worse", "missing", "undecided")


def compare(
    a: str = typer.Argument(help="The baseline: a recipe, or a results folder."),
    b: str = typer.Argument(help="What is compared with A: a recipe, or a results folder."),
    suite: str | None = typer.Option(None, help="The suite; needed if the results hold several."),
    column: list[str] = typer.Option(
        [], help="Compare this column (repeatable); default: quality, loyalty, speed-up, size, MACs and energy."
    ),
    threshold: float = typer.Option(0.03, min=0, help="Ignore ratios that change by less than this share."),
    points: float = typer.Option(0.0, min=0, help="Ignore scores that differ by less than this; 0.01 is one point."),
    fail_on: list[str] = typer.Option(
        [],
        help="Exit with status 1 (repeatable): worse, if B is worse overall in a column; undecided, if a column has no "
        "verdict; missing, if B lacks a record that A has or one side lacks a value (always on).",
    ),
    allow_missing: bool = typer.Option(False, "--allow-missing", help="Do not fail if records or values are missing."),
    model: str | None = typer.Option(None, help="Only records of this model."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: Path | None = OUT,
) -> None:
    """Compare B with A, with a verdict per column.

    Differences and ratios are shown with their intervals.
    """
    import bench
    from bench.base.errors import RecordError, unknown

    for condition in fail_on:
        if condition not in _CONDITIONS:
            raise unknown("condition", condition, _CONDITIONS, where="--fail-on")
    if allow_missing and "missing" in fail_on:
        raise RecordError("--fail-on missing and --allow-missing contradict each other. Give only one.")
    view = bench.compare(
        a,
        b,
        results=results,
        suite=suite,
        columns=column,
        threshold=threshold,
        points=points,
        machine=machine,
        setting=setting,
        model=model,
        tasks=task,
    )
    put(view, format_, out)
    if _failed(view.comparison, {*fail_on, *(() if allow_missing else ("missing",))}, column):
        raise typer.Exit(1)


def _failed(done: Comparison, conditions: set[str], asked: Collection[str]) -> bool:
    """Whether one of the conditions holds; prints each one that does, and each line without a verdict."""
    failed = False
    missing = [*done.missing, *done.lacking(asked)] if "missing" in conditions else []
    for what in missing:
        typer.echo(f"missing: {what}", err=True)
    if missing:
        typer.echo("Make the missing records with `bench run`, or ignore them with --allow-missing.", err=True)
        failed = True
    if "worse" in conditions and done.worse:
        typer.echo(f"worse overall: {', '.join(dict.fromkeys(line.column for line in done.worse))}", err=True)
        failed = True
    if conditions & {"worse", "undecided"}:
        for line, why in done.undecided:
            typer.echo(f"no verdict: {line.place}: {why.reason}", err=True)
        failed = failed or ("undecided" in conditions and bool(done.undecided))
    return failed
