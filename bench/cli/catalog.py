"""`bench list`, `bench show` and `bench check`: what there is, one thing in full, and whether a suite is sound."""

from __future__ import annotations

import json

import typer

from bench.cli.board import FORMAT


def list_(
    kind: str = typer.Argument("suites", help="suites, tasks, models, recipes, methods, choices, measures or columns."),
    format_: str = FORMAT,
) -> None:
    """Everything of one kind, a line each; the other formats say all of it."""
    if format_ == "table":  # without what tables of results need, which takes longer to load
        from bench.library.catalog import aligned, listing

        rows = listing(kind)
        typer.echo("\n".join(aligned([list(rows[0]), *(list(row.values()) for row in rows)])))
        return
    from bench.library.listing import list_of

    typer.echo(list_of(kind, full=True).render(format_))


def show(
    name: str = typer.Argument(help="The name of anything that `bench list` lists."), format_: str = FORMAT
) -> None:
    """One thing in full: parts, arguments, citation, published numbers and whether they were verified."""
    import bench

    found = bench.show(name)
    typer.echo(json.dumps(found, indent=1) if format_ == "json" else repr(found))


def check(suite: str = typer.Argument(help="A suite's name, or a path to a TOML file.")) -> None:
    """Validate a suite, its recipes and every argument without running anything."""
    import bench

    typer.echo(repr(bench.check(suite)))
