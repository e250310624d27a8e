"""`bench pivot`: one argument of a suite's recipes down, another across, a column's value in each cell."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.board import narrowed, of_one_setting, put
from bench.cli.results import FORMAT, MACHINE, OUT, RESULTS, SETTING, TASK


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
    out: Path | None = OUT,
) -> None:
    """A grid of recipes as a table: what a study finds, at a glance."""
    from bench.analysis.pivot import Axes
    from bench.analysis.pivot import pivot as arrange
    from bench.suite import load_suite

    chosen = load_suite(suite)
    found = narrowed(results, chosen.name, machine=machine, setting=setting, tasks=task)
    records, failures = of_one_setting(chosen, found)
    axes = Axes(rows=tuple(rows), columns=tuple(columns))
    put(arrange(chosen, records, axes, value=value, where=_conditions(where), failures=failures), format_, out)


def _conditions(texts: list[str]) -> dict[str, str]:
    from bench.errors import RecordError

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise RecordError(f"--where {text}: expected NAME=VALUE, for example --where saliency=magnitude")
        found[name.strip()] = value.strip()
    return found
