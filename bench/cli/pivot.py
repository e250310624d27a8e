"""`bench pivot`: one argument of a suite's recipes down, another across, as a table or as curves."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.board import FORMAT, MACHINE, OUTS, RESULTS, SETTING, TASK, put


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
    out: list[Path] = OUTS,
) -> None:
    """A grid of recipes as a table or as curves: what a study finds, at a glance.

    Without --rows and --columns, the tables that the suite names itself.
    """
    import bench

    found = bench.load_results(results, suite, machine=machine, setting=setting, tasks=task)
    if found.suite.findings and not any((rows, columns, where, out, value != "quality")):
        for index, view in enumerate(found.findings()):
            if index:
                typer.echo()
            put(view, format_)
        return
    put(found.pivot(rows, columns, value=value, where=_conditions(where)), format_, out)


def _conditions(texts: list[str]) -> dict[str, str]:
    from bench.base.errors import RecordError

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise RecordError(f"--where {text}: expected NAME=VALUE, for example --where saliency=magnitude")
        found[name.strip()] = value.strip()
    return found
