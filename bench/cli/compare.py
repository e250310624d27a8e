"""`bench compare`: two recipes of a suite, or two results folders, side by side with what may be said of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.cli.board import put
from bench.cli.results import FORMAT, MACHINE, OUT, RESULTS, SETTING, TASK

if TYPE_CHECKING:
    from bench.analysis.compare import ComparedSide
    from bench.analysis.comparison import Comparison
    from bench.analysis.paired import StoredRecord
    from bench.spec.suite import Suite

_CONDITIONS = ("worse", "missing", "undecided")


def compare(
    a: str = typer.Argument(help="The measure: a recipe, or a results folder."),
    b: str = typer.Argument(help="What is judged: a recipe, or a results folder."),
    suite: str | None = typer.Option(None, help="The suite; needed where the results hold several."),
    column: list[str] = typer.Option([], help="Compare this column (repeatable); default: a choice of them."),
    threshold: float = typer.Option(0.03, min=0, help="Smallest change of a ratio that matters, as a share."),
    points: float = typer.Option(0.0, min=0, help="Smallest difference of a score that matters; 0.01 is one point."),
    fail_on: list[str] = typer.Option(
        [],
        help="Exit status 1 (repeatable) if B is worse overall in some column: worse; if some column has no verdict: "
        "undecided; if B lacks records of A, or one side a value: missing, which is always on.",
    ),
    allow_missing: bool = typer.Option(False, "--allow-missing", help="Records and values may be missing."),
    model: str | None = typer.Option(None, help="Only records of this model."),
    results: Path = RESULTS,
    machine: str | None = MACHINE,
    setting: str | None = SETTING,
    task: list[str] = TASK,
    format_: str = FORMAT,
    out: Path | None = OUT,
) -> None:
    """B against A: paired differences and ratios with their intervals, and a verdict for each column."""
    from bench.analysis.compare import DEFAULT
    from bench.analysis.compare import compare as find
    from bench.base.errors import RecordError, unknown

    for condition in fail_on:
        if condition not in _CONDITIONS:
            raise unknown("condition", condition, _CONDITIONS, where="--fail-on")
    if allow_missing and "missing" in fail_on:
        raise RecordError("--fail-on missing and --allow-missing contradict each other: give one of them")
    folders = [Path(name) for name in (a, b) if Path(name).is_dir()]
    roots = folders if len(folders) == 2 else [results]
    name, known = _suite(suite, roots)
    keep = {"machine": machine, "setting": setting, "model": model}
    found = [_chosen(each, keep, task) for each in _told_apart([_read(root, name) for root in roots])]
    sides = _of_folders(folders, found) if len(folders) == 2 else _of_recipes(a, b, found[0])
    done = find(
        sides[0],
        sides[1],
        column or DEFAULT,
        title=f"{known.title if known else name}: {b} against {a}",
        excluded=known.macro_excludes if known else (),
        ratio_threshold=threshold,
        score_threshold=points,
    )
    put(done.table(), format_, out)
    if _failed(done, {*fail_on, *(() if allow_missing else ("missing",))}, column):
        raise typer.Exit(1)


def _failed(done: Comparison, conditions: set[str], asked: Collection[str]) -> bool:
    """Whether one of the conditions holds; each is said, and so is what `worse` could not be decided on."""
    failed = False
    missing = [*done.missing, *done.lacking(asked)] if "missing" in conditions else []
    for what in missing:
        typer.echo(f"missing: {what}", err=True)
    if missing:
        typer.echo("Make the missing records with `bench run`, or allow it with --allow-missing.", err=True)
        failed = True
    if "worse" in conditions and done.worse:
        typer.echo(f"worse overall: {', '.join(dict.fromkeys(line.column for line in done.worse))}", err=True)
        failed = True
    if conditions & {"worse", "undecided"}:
        for line, why in done.undecided:
            typer.echo(f"not judged: {line.place}: {why.reason}", err=True)
        failed = failed or ("undecided" in conditions and bool(done.undecided))
    return failed


def _suite(named: str | None, roots: Sequence[Path]) -> tuple[str, Suite | None]:
    """The suite's name and, where its file is known, the suite; found in the records where it is not named."""
    from bench.base.errors import RecordError
    from bench.records.record import read_records
    from bench.spec.suite import load_suite, suite_names

    if named is not None:
        known = load_suite(named)
        return known.name, known
    found = sorted({record.suite for root in roots for record in read_records(root)})
    if len(found) != 1:
        where = ", ".join(map(str, roots))
        raise RecordError(
            f"{where}: records of {len(found)} suites ({', '.join(found) or 'none'}): name one with --suite, and the "
            f"folder with --results. `bench run SUITE` makes records."
        )
    return found[0], load_suite(found[0]) if found[0] in suite_names() else None


def _read(root: Path, suite: str) -> list[StoredRecord]:
    from bench.analysis.paired import StoredRecord
    from bench.records.record import read_record

    paths = sorted(path for path in root.glob("**/*.json") if not path.name.endswith(".failed.json"))
    records = [StoredRecord(record=read_record(path), path=path) for path in paths if not path.name.startswith(".")]
    return [item for item in records if item.record.suite == suite]


def _told_apart(found: list[list[StoredRecord]]) -> list[list[StoredRecord]]:
    """The same records; a name that models share within one folder is told apart in every folder."""
    from dataclasses import replace

    from bench.analysis.names import renamed, shared_names

    shared = {name for each in found for name in shared_names(item.record for item in each)}
    return [[replace(item, record=renamed(item.record, shared)) for item in each] for each in found]


def _chosen(found: list[StoredRecord], keep: dict[str, str | None], tasks: Sequence[str]) -> list[StoredRecord]:
    from bench.analysis.names import is_called

    def kept(item: StoredRecord) -> bool:
        own = {"machine": item.record.machine_id, "setting": item.record.setting_id}
        wanted = all(keep[key] in (None, value) for key, value in own.items())
        called = keep["model"] is None or is_called(item.record.model, keep["model"])
        return wanted and called and (not tasks or item.record.task in tasks)

    return [item for item in found if kept(item)]


def _of_recipes(a: str, b: str, found: list[StoredRecord]) -> list[ComparedSide]:
    from bench.analysis.compare import side_of
    from bench.base.errors import unknown

    names = sorted({item.record.recipe for item in found})
    for name in (a, b):
        if name not in names:
            raise unknown("recipe with records, or results folder,", name, names)
    return [side_of(name, [item for item in found if item.record.recipe == name], with_recipe=False) for name in (a, b)]


def _of_folders(folders: Sequence[Path], found: Sequence[list[StoredRecord]]) -> list[ComparedSide]:
    from bench.analysis.compare import side_of

    return [side_of(str(folder), own, with_recipe=True) for folder, own in zip(folders, found, strict=True)]
