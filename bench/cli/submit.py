"""`bench submit`: write the test files of a benchmark from the artifacts of a recipe."""

from __future__ import annotations

from pathlib import Path

import typer

from bench.cli.run import changes


def submit(
    suite: str = typer.Argument(help="A suite's name, or a path to a TOML file, as given to `bench run`."),
    recipe: str = typer.Option("none", help="The recipe whose artifacts are submitted; none is the reference."),
    benchmark: str | None = typer.Option(
        None, help="Format of the files: glue, superglue, squad or elue; default: the one named like SUITE."
    ),
    model: str | None = typer.Option(None, help="The model, as given to `bench run`; default: the suite's own."),
    labels: str | None = typer.Option(None, help="As given to `bench run`."),
    task: list[str] = typer.Option([], help="Write only the files of this task (repeatable)."),
    seed: int | None = typer.Option(None, help="The seed of the run; default: the suite's first."),
    data_dir: Path | None = typer.Option(None, help="Folder of local data to use instead of the hub."),
    device: str = typer.Option("cpu", help="cpu or cuda, as given to `bench run`."),
    cache: Path | None = typer.Option(None, help="Where the artifacts are, as given to `bench run`."),
    out: Path = typer.Option(Path("submission"), help="Folder that the files are written to."),
    assignments: list[str] = typer.Option([], "--set", help="KEY=VALUE (repeatable), as given to `bench run`."),
) -> None:
    """Write the official test files of GLUE, SuperGLUE, SQuAD or ELUE.

    The artifacts are those that `bench run` made with the same options; nothing is trained. A file that cannot be
    written is listed with the reason.
    """
    import bench

    found = bench.submit(
        suite,
        model,
        recipe=recipe,
        benchmark=benchmark,
        tasks=task,
        set=changes(assignments),
        seed=seed,
        labels=() if labels is None else labels.split(","),
        data_dir=data_dir,
        device=device,
        cache=cache,
        out=out,
    )
    typer.echo(repr(found))
