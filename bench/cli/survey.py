"""`bench survey`: what became of every row of the survey, and what was published beside what was measured."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.board import RESULTS


def survey(
    results: Path = RESULTS,
    suite: list[str] = typer.Option([], help="File of a suite that records are of and the package lacks (repeatable)."),
    format_: str = typer.Option("md", "--format", help="md, table, csv or json; all but md are the tables alone."),
    out: Path | None = typer.Option(None, help="Write to this file instead; its links are relative to its folder."),
) -> None:
    """Every row of the survey with its recipes, tests and results, and published against measured figures."""
    import bench

    page = bench.survey(results, suites=suite)
    if out is None:
        typer.echo(page.render(format_), nl=False)
    else:
        typer.echo(f"wrote {page.save(out, format_)}")
