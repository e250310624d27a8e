"""`bench score`: measure a system that was made elsewhere beside a reference, then print the board."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import typer

from bench.cli.run import carry_out, changes


def score(
    system: str = typer.Argument(
        ..., help="Hub id, folder of transformers, artifact, graph, or package.module:callable."
    ),
    suite: str = typer.Argument(..., help="A suite's name, or a path to a TOML file."),
    reference: str | None = typer.Option(
        None, help="Hub id or directory, used as it is if its head fits; default: the suite's model, trained."
    ),
    task: list[str] = typer.Option([], help="Score only on this task (repeatable)."),
    name: str | None = typer.Option(None, help="Name of the system in records and boards; default: its folder or id."),
    labels: str | None = typer.Option(None, help="Labels of the system's outputs in their order: a,b,..."),
    reference_labels: str | None = typer.Option(None, help="Labels of the reference's outputs in their order."),
    tokenizer: Path | None = typer.Option(None, help="Folder of the system's tokenizer, if it has none of its own."),
    max_length: int | None = typer.Option(None, help="Tokens per example, for both; default: the task's."),
    pooling: str | None = typer.Option(None, help="For retrieval, what a text's vector is: mean or cls."),
    assignments: list[str] = typer.Option([], "--set", help="KEY=VALUE (repeatable): of the setting, or TASK.KEY."),
    seed: int | None = typer.Option(None, help="Seed of the reference's training; default: the suite's first."),
    data_dir: Path | None = typer.Option(None, help="Folder of local data to use instead of the hub."),
    device: str = typer.Option("cpu", help="cpu or cuda."),
    results: Path = typer.Option(Path("results"), help="Where records go."),
    cache: Path | None = typer.Option(
        None, help="Where references and artifacts go; default: BENCH_CACHE or the user's cache directory."
    ),
    retry: bool = typer.Option(False, "--retry", help="Also run the cells that failed before."),
) -> None:
    """Measure SYSTEM, made elsewhere, beside a reference, and record it: one record per task of SUITE.

    Everything is checked before anything is trained or timed. What cannot be known of a kind of system is absent, with
    the reason:

    bench score my-student glue --task sst2 --reference my-teacher
    """
    from bench.library.scoring import plan_score
    from bench.systems.opening import names_function

    started = time.perf_counter()
    if names_function(system):
        sys.path.insert(0, str(Path.cwd()))  # where the user's own modules are; children look there too
    planned = plan_score(
        system,
        suite,
        reference=reference,
        tasks=task,
        name=name,
        labels=() if labels is None else labels.split(","),
        reference_labels=() if reference_labels is None else reference_labels.split(","),
        tokenizer=tokenizer,
        max_length=max_length,
        pooling=pooling,
        set=changes(assignments),
        seed=seed,
        data_dir=data_dir,
        device=device,
        results=results,
        cache=cache,
        retry=retry,
    )
    for cell in planned.cells:
        how = "used as it is" if cell.as_is else "trained as the setting says"
        typer.echo(f"{cell.task.name}: the reference is {cell.model_name}, {how}", err=True)
    carry_out(planned, results, started=started)
