"""`bench init`: write a commented suite for a folder of data."""

from __future__ import annotations

from pathlib import Path

import typer


def init(
    folder: Path = typer.Argument(help="The folder of data: train.csv, dev.tsv, test.jsonl or the like."),
    out: Path | None = typer.Option(None, help="The suite's file; default: suite.toml in the folder."),
    model: str | None = typer.Option(None, help="The suite's default model."),
) -> None:
    """Write a suite for the data in FOLDER.

    It looks at the files, decides what each file and column is, and says why. Nothing is overwritten.
    """
    from bench.library.drafting import draft_folder

    made = draft_folder(folder, out=out, model=model)
    for reason in made.reasons:
        typer.echo(reason)
    typer.echo(f"wrote {made.path}. Look at the data with `bench check {made.path}`.")
