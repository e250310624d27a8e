"""`bench list`, `bench show` and `bench check`: what there is, one thing in full, and whether a suite is valid."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from bench.cli.board import FORMAT


def list_(
    kind: str = typer.Argument(
        "suites",
        help="suites, tasks, datasets, sources, transforms, kinds, metrics, models, recipes, methods, choices, "
        "measures or columns.",
    ),
    format_: str = FORMAT,
) -> None:
    """List everything of one kind, one line each.

    Formats other than table give every detail.
    """
    if format_ == "table":  # without what tables of results need, which takes longer to load
        from bench.library.catalog import aligned, listing

        rows = listing(kind)
        typer.echo("\n".join(aligned([list(rows[0]), *(list(row.values()) for row in rows)])) if rows else f"no {kind}")
        return
    from bench.library.listing import list_of

    typer.echo(list_of(kind, full=True).render(format_))


def show(
    name: str = typer.Argument(help="Any name from `bench list`."),
    data_dir: Path | None = typer.Option(None, help="Of a task, also count the rows that are in this folder."),
    format_: str = FORMAT,
) -> None:
    """Show one thing in full.

    This includes parts, arguments, citation, licence, published numbers and whether they were verified.
    """
    import bench

    found = bench.show(name, data_dir=data_dir)
    typer.echo(json.dumps(found, indent=1) if format_ == "json" else repr(found))


def check(
    suite: str = typer.Argument(help="A suite's name, or a path to a TOML file."),
    data_dir: Path | None = typer.Option(None, help="Also read the data of its tasks, which are in this folder."),
    model: str | None = typer.Option(None, help="Also check that texts and labels fit this model."),
) -> None:
    """Validate a suite and its recipes without running anything.

    With --data-dir, or if the suite says where its files are, the data are read: rows, labels, lengths, what is
    suspicious, and what is wrong. The exit status is 1 if something in the data is wrong.
    """
    import bench

    found = bench.check(suite, data_dir=data_dir, model=model)
    typer.echo(repr(found))
    if found.problems:
        raise typer.Exit(1)
