"""`bench pivot`: one argument of a suite's recipes down, another across, as a table or as curves."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.board import FORMAT, MACHINE, OUTS, RESULTS, RUNTIME, SETTING, TASK, put


def pivot(
    suite: str = typer.Argument(help="The suite's name, or the path of its file."),
    rows: list[str] = typer.Option([], help="Rows: an argument, recipe, task, seed or model (repeatable)."),
    columns: list[str] = typer.Option([], help="Columns: as --rows (repeatable)."),
    value: str = typer.Option("quality", help="The result column shown in the cells."),
    where: list[str] = typer.Option([], help="Only records with NAME=VALUE, as `bench table` writes it (repeatable)."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    runtime: str | None = RUNTIME,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: list[Path] = OUTS,
) -> None:
    """Show a grid of recipes as a table or as curves.

    Without --rows and --columns, this shows the tables that the suite defines.
    """
    import bench

    found = bench.load_results(results, suite, machine=machine, setting=setting, tasks=task, runtime=runtime)
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
