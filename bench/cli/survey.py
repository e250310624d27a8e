"""`bench survey`: the status of every row of the survey, and published next to measured figures."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.board import RESULTS


def survey(
    results: Path = RESULTS,
    suite: list[str] = typer.Option(
        [], help="File of a suite that has records but is not part of the package (repeatable)."
    ),
    format_: str = typer.Option(
        "md", "--format", help="md, table, csv or json; only md has the text around the tables."
    ),
    out: Path | None = typer.Option(None, help="Write to this file; links in it are relative to its folder."),
) -> None:
    """List the survey's rows with recipes, tests and results.

    Published figures are listed next to measured ones.
    """
    import bench

    page = bench.survey(results, suites=suite)
    if out is None:
        typer.echo(page.render(format_), nl=False)
    else:
        typer.echo(f"wrote {page.save(out, format_)}")
