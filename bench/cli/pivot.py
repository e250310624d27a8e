"""`bench pivot`: one argument of a suite's recipes down, another across, as a table or as curves."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.cli.board import narrowed, of_one_setting, put, put_all
from bench.cli.results import FORMAT, MACHINE, RESULTS, SETTING, TASK

if TYPE_CHECKING:
    from bench.records.record import Failure, Record
    from bench.spec.suite import Suite


def pivot(
    suite: str = typer.Argument(help="The suite's name, or the path of its file."),
    rows: list[str] = typer.Option([], help="An argument, recipe, task, seed or model, down the side (repeatable)."),
    columns: list[str] = typer.Option([], help="Likewise across the top (repeatable)."),
    value: str = typer.Option("quality", help="The result column that the cells show."),
    where: list[str] = typer.Option([], help="NAME=VALUE as written in the table: only these records (repeatable)."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: list[Path] = typer.Option(
        [], help="Write to this file (repeatable): .png or .svg draws curves over numbers, .md .csv .json list."
    ),
) -> None:
    """A grid of recipes as a table or as curves: what a study finds, at a glance.

    Without --rows and --columns, the tables that the suite names itself.
    """
    from bench.analysis.grid import Axes, grid_of
    from bench.analysis.pivot import pivot as arrange
    from bench.report.curves import draw_curves
    from bench.spec.suite import load_suite

    chosen = load_suite(suite)
    found = narrowed(results, chosen.name, machine=machine, setting=setting, tasks=task)
    records, failures = of_one_setting(chosen, found)
    if chosen.findings and not any((rows, columns, where, out, value != "quality")):
        _put_findings(chosen, records, failures, format_)
        return
    axes = Axes(rows=tuple(rows), columns=tuple(columns))
    grid = grid_of(chosen, records, axes, value=value, where=_conditions(where), failures=failures)
    put_all(arrange(grid), format_, out, draw=partial(draw_curves, grid))


def _put_findings(suite: Suite, records: list[Record], failures: list[Failure], form: str) -> None:
    """Every table that the suite names; those without a record are named, and raised where there is no other."""
    from bench.analysis.grid import grid_of_finding
    from bench.analysis.pivot import pivot as arrange
    from bench.base.errors import RecordError, UnknownNameError

    lacking: list[RecordError] = []
    shown = 0
    for finding in suite.findings:
        try:
            table = arrange(grid_of_finding(suite, records, finding, failures))
        except (RecordError, UnknownNameError) as error:
            lacking.append(RecordError(f"{finding.title}: {error}"))
            continue
        if shown:
            typer.echo()
        put(table, form, None)
        shown += 1
    if not shown:
        raise lacking[0]
    for reason in lacking:
        typer.echo(f"not shown: {reason}", err=True)


def _conditions(texts: list[str]) -> dict[str, str]:
    from bench.base.errors import RecordError

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise RecordError(f"--where {text}: expected NAME=VALUE, for example --where saliency=magnitude")
        found[name.strip()] = value.strip()
    return found
