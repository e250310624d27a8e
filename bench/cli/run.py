"""`bench run`: run the cells of a suite, show progress, then print the board and how the time was spent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.base.errors import SuiteError
from bench.cli.board import put
from bench.cli.own_files import OwnOptions, choose_suite, save

if TYPE_CHECKING:
    from bench.engine.events import Summary
    from bench.library.running import PlannedRun


def run(
    suite: str | None = typer.Argument(
        None, help="A suite's name, or a path to a TOML file. `bench list suites` names them. Not with --data."
    ),
    model: str | None = typer.Option(None, help="Hub id, local directory or built-in; default: the suite's own."),
    name: str | None = typer.Option(None, help="Name of the model in records and boards; default: its folder or id."),
    labels: str | None = typer.Option(
        None, help="Labels of --model's trained head in output order: a,b,...; 'fresh' trains a new head."
    ),
    as_is: bool = typer.Option(
        False, "--as-is", help="Use the trained head of --model as the reference, without training it."
    ),
    recipe: list[str] = typer.Option(
        [], help="Run only this recipe: a name, a path, or both joined by + (repeatable)."
    ),
    task: list[str] = typer.Option([], help="Run only this task (repeatable)."),
    seed: list[int] = typer.Option([], help="Run with this seed (repeatable); default: the suite's."),
    data_dir: Path | None = typer.Option(None, help="Folder of local data to use instead of the hub."),
    device: str = typer.Option("cpu", help="cpu or cuda."),
    results: Path = typer.Option(Path("results"), help="Where records go."),
    cache: Path | None = typer.Option(
        None, help="Where references and artifacts go; default: BENCH_CACHE or the user's cache directory."
    ),
    artifacts: Path | None = typer.Option(
        None, help="Also copy each model to this folder, the reference if recipe none runs."
    ),
    jobs: int = typer.Option(1, min=1, help="Trainings to run in parallel; measuring always runs alone."),
    assignments: list[str] = typer.Option(
        [], "--set", help="KEY=VALUE (repeatable): a key of the setting, TASK.KEY or RECIPE.ARGUMENT."
    ),
    retry: bool = typer.Option(False, "--retry", help="Also run the cells that failed before."),
    data: Path | None = typer.Option(None, help="Train on this file of your own instead of a suite's data."),
    validation: Path | None = typer.Option(None, help="Evaluate on this file; default: a part of --data."),
    test: Path | None = typer.Option(None, help="Evaluate on this file, too."),
    text: str | None = typer.Option(None, help="Column of the text, or of the question."),
    pair: str | None = typer.Option(None, help="Column of the second text, or of a question's context."),
    choice: list[str] = typer.Option([], help="Column of a candidate (repeatable), or of a list of them."),
    label: str | None = typer.Option(None, help="Column of the class, or of the right candidate."),
    score: str | None = typer.Option(None, help="Column of a number to predict."),
    answer: str | None = typer.Option(None, help="Column of the answer, a part of --pair."),
    start: str | None = typer.Option(None, help="Column of the character at which the answer starts."),
    target: str | None = typer.Option(None, help="Column of the text to write."),
    group: str | None = typer.Option(None, help="Column by which scores are also reported."),
    kind: str | None = typer.Option(None, help="Kind of the task, if columns do not say it."),
    metric: list[str] = typer.Option([], help="Score (repeatable); default: the kind's usual ones."),
    max_length: int | None = typer.Option(None, help="Tokens per example; default: 128."),
    holdout: float | None = typer.Option(None, help="Share of --data to evaluate on; default: 0.2."),
    rows: str | None = typer.Option(None, help="Path to the rows inside JSON, such as data[].rows[]."),
    format_: str | None = typer.Option(None, "--format", help="csv, tsv, jsonl, json, parquet or text."),
    delimiter: str | None = typer.Option(None, help="What separates columns."),
    encoding: str | None = typer.Option(None, help="Of the files; default: UTF-8."),
    quotes: bool = typer.Option(True, "--quotes/--no-quotes", help="Whether quotation marks may enclose a field."),
    header: bool = typer.Option(True, "--header/--no-header", help="Whether columns have names in the file."),
    save_suite: Path | None = typer.Option(None, help="Write what was run to this TOML file."),
) -> None:
    """Compress, measure and record every cell of SUITE, or of a task on your own files.

    If stopped, run it again to resume: cells that have a record are skipped. With --data no suite is needed:

    bench run --data train.csv --text message --label intent --model DIR --recipe int8
    """
    from bench.library.running import plan_run, standing_for

    started = time.perf_counter()
    texts = {"text": text, "pair": pair, "target": target, "group": group}
    own = OwnOptions(
        data=data,
        validation=validation,
        test=test,
        holdout=holdout,
        columns={**texts, "choice": choice, "label": label, "score": score, "answer": answer, "start": start},
        reading={"rows": rows, "format": format_, "delimiter": delimiter, "encoding": encoding},
        quotes=quotes,
        header=header,
        task={"kind": kind, "metrics": metric, "max_length": max_length},
        data_dir=data_dir,
    )
    chosen, changed = choose_suite(suite, own), changes(assignments)
    planned = plan_run(
        chosen.suite,
        model,
        recipes=recipe,
        tasks=task,
        set=changed,
        seeds=seed,
        name=name,
        labels=() if labels is None else labels.split(","),
        as_is=as_is,
        data_dir=data_dir,
        device=device,
        results=results,
        cache=cache,
        jobs=jobs,
        retry=retry,
    )
    if save_suite is not None:
        beside: dict[str, str | bool | list[str] | None] = {"name": name, "labels": labels, "as-is": as_is or None}
        beside |= {"task": task, "device": None if device == "cpu" else device}
        stands_for = standing_for(chosen.suite, model, recipes=recipe, set=changed, seeds=seed, data_dir=data_dir)
        save(save_suite, stands_for, chosen.comments, beside)
    carry_out(planned, results, started=started, artifacts=artifacts)


def carry_out(planned: PlannedRun, results: Path, *, started: float, artifacts: Path | None = None) -> None:
    """Run what was planned, print the board and how the time since `started` was spent; exits with 1 on failure."""
    from bench.library.progress import watch

    for says in planned.warnings:
        typer.echo(f"warning: {says}", err=True)
    try:
        watch(planned.work)
    except KeyboardInterrupt:
        planned.work.stop()
        typer.echo("stopped; run it again to resume", err=True)
        raise typer.Exit(130) from None
    if artifacts is not None:
        planned.copy_artifacts(artifacts)
    _print_board(planned, results)
    summary = planned.work.summary
    if summary.recorded or summary.failed:
        _print_split(summary, time.perf_counter() - started)
    if summary.failed:
        typer.echo(f"{summary.failed} of {len(planned.cells)} cells failed; see the *.failed.json files in {results}")
        raise typer.Exit(1)


def changes(assignments: list[str]) -> dict[str, Any]:
    """What `--set KEY=VALUE` gives, by key."""
    from bench.base.schema import toml_value

    found = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise SuiteError(f"--set {assignment}: expected KEY=VALUE, for example --set training.epochs=1")
        found[key.strip()] = toml_value(text.strip())
    return found


def _print_board(planned: PlannedRun, results: Path) -> None:
    """The leaderboard of this machine and the suite's setting; the table of records if no task counts for the board."""
    import bench

    suite = planned.suite
    found = bench.load_results(results, suite, machine=planned.work.machine_id, setting=suite.setting_id)
    if found.records and {*found.tasks(suite)} - {*suite.macro_excludes}:
        put(found.leaderboard(), "table")
    elif found.records:
        put(found.table(), "table")


def _print_split(summary: Summary, wall_s: float) -> None:
    """Where the time went; the rest, neither training, evaluating nor measuring, is the program's overhead."""
    parts = {**summary.spans._asdict(), "other": summary.other_s}
    total = sum(parts.values())
    split = ", ".join(f"{name} {seconds:.1f} s ({seconds / total:.0%})" for name, seconds in parts.items())
    records = f"{summary.recorded} record{'' if summary.recorded == 1 else 's'}"
    typer.echo(f"{records} in {wall_s:.0f} s: {split}")
