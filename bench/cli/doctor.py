"""`bench doctor`: what this machine can measure, and how well."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import TYPE_CHECKING

import typer

from bench.cli.board import put

if TYPE_CHECKING:
    from bench.doctor.machine import Diagnosis

_MARKS = {"ok": " ", "note": "-", "problem": "!"}


def doctor(
    threads: int = typer.Option(1, min=1, help="Threads used to time the noise floor."),
    seconds: float = typer.Option(8.0, min=0, help="Minimum seconds spent on the noise floor; 0 skips it."),
    patience: float = typer.Option(
        30.0, min=0, help="Maximum seconds spent on the noise floor if the machine does not settle."
    ),
    format_: str = typer.Option("table", "--format", help="table, md, csv or json."),
) -> None:
    """Check whether this machine can measure reliably.

    This looks at cores, clock, load, power meters and noise. The exit status is 1 if measurements would be unreliable.
    """
    import bench

    found = bench.examine_machine(
        threads=threads, seconds=seconds, patience_s=patience, each=_print if format_ == "table" else None
    )
    if format_ == "json":
        typer.echo(json.dumps([finding._asdict() for finding in found.findings], indent=1))
    elif format_ != "table":
        put(found, format_)
    if found.problems:
        raise typer.Exit(1)


def _print(finding: Diagnosis) -> None:
    """`! topic   what was found`, and the advice below it."""
    width = min(shutil.get_terminal_size((120, 40)).columns, 120)
    text = f"{finding.found}. {finding.advice}" if finding.advice else finding.found
    lines = textwrap.wrap(text, max(40, width - 22)) or [""]
    typer.echo(f"{_MARKS[finding.level]} {finding.topic:<20}{lines[0]}")
    for line in lines[1:]:
        typer.echo(" " * 22 + line)
