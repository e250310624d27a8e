"""Boards and fronts from a results folder: reading, narrowing and printing them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bench.analysis.table import ResultTable
    from bench.records.record import Failure, Record
    from bench.spec.suite import Suite


def narrowed(
    results: Path, suite: str, *, machine: str | None = None, setting: str | None = None, tasks: Sequence[str] = ()
) -> tuple[list[Record], list[Failure]]:
    """The suite's records and failures, of one machine, setting and tasks where these are given."""
    from bench.records.record import read_failures, read_records

    records = [
        record
        for record in read_records(results, suite)
        if (machine is None or record.machine_id == machine)
        and (setting is None or record.setting_id == setting)
        and (not tasks or record.task in tasks)
    ]
    failures = [
        failure
        for failure in read_failures(results, suite)
        if (setting is None or failure.setting_id == setting) and (not tasks or failure.task in tasks)
    ]
    return records, failures


def of_one_setting(suite: Suite, found: tuple[list[Record], list[Failure]]) -> tuple[list[Record], list[Failure]]:
    """Of records under several settings those under the suite's own, with a line that says so; else all of them."""
    records, failures = found
    settings = {record.setting_id for record in records}
    if len(settings) < 2 or suite.setting_id not in settings:
        return found
    typer.echo(
        f"only records of the suite's own setting {suite.setting_id}; others (--setting): "
        f"{', '.join(sorted(settings - {suite.setting_id}))}",
        err=True,
    )
    own = [record for record in records if record.setting_id == suite.setting_id]
    return own, [failure for failure in failures if failure.setting_id == suite.setting_id]


def tasks_with_records(suite: Suite, records: Sequence[Record], failures: Sequence[Failure]) -> list[str]:
    """The tasks that were run at all, in the suite's order: a board over these says which ones it leaves out."""
    seen = {record.task for record in records} | {failure.task for failure in failures}
    return [task.name for task in suite.tasks if task.name in seen]


def print_board(suite: Suite, results: Path, machine: str) -> None:
    """The leaderboard of this machine and the suite's present setting; the records where no task of them counts."""
    from bench.analysis.leaderboard import leaderboard
    from bench.analysis.table import table_of

    records, failures = narrowed(results, suite.name, machine=machine, setting=suite.setting_id)
    tasks = tasks_with_records(suite, records, failures)
    if records and set(tasks) - set(suite.macro_excludes):
        put(leaderboard(suite, records, failures=failures, tasks=tasks).table(), "table", None)
    elif records:
        put(table_of(records, failures=failures), "table", None)


def put_all(table: ResultTable, form: str, out: Sequence[Path], *, draw: Callable[[Path], None]) -> None:
    """Print the table, or write it to every file of `out`; `draw` makes those that are pictures."""
    from bench.report.picture import SUFFIXES

    for path in out:
        if path.suffix in SUFFIXES:
            draw(path)
            typer.echo(f"wrote {path}")
        else:
            put(table, form, path)
    if not out:
        put(table, form, None)


def put(table: ResultTable, form: str, out: Path | None) -> None:
    """Print the table, or write it to `out` in the form that its suffix names."""
    from bench.records.record import write_text
    from bench.report.render import render

    if out is None:
        width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
        typer.echo(render(table, form, width=width), nl=False)
        return
    write_text(out, render(table, {".md": "md", ".csv": "csv", ".json": "json"}.get(out.suffix, form), width=120))
    typer.echo(f"wrote {out}")
