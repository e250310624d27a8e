"""`bench survey`: what became of every row of the survey, and what was published beside what was measured."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.results import RESULTS


def survey(
    results: Path = RESULTS,
    suite: list[str] = typer.Option([], help="File of a suite that records are of and the package lacks (repeatable)."),
    format_: str = typer.Option("md", "--format", help="md, table, csv or json; all but md are the tables alone."),
    out: Path | None = typer.Option(None, help="Write to this file instead; its links are relative to its folder."),
) -> None:
    """Every row of the survey with its recipes, tests and results, and published against measured figures."""
    from bench.records.record import write_text
    from bench.report.survey.page import page_of, written
    from bench.spec.suite import load_suite

    suites = {chosen.name: chosen for chosen in map(load_suite, suite)}
    page = page_of(results, suites)
    if out is None:
        typer.echo(written(page, format_, beside=Path()), nl=False)
        return
    form = {".md": "md", ".csv": "csv", ".json": "json"}.get(out.suffix, format_)
    write_text(out, written(page, form, beside=out.parent))
    typer.echo(f"wrote {out}")
