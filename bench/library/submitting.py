"""Test files for a benchmark's grader, from the stored artifacts of a recipe."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.artifacts.artifact import load
from bench.artifacts.store import Store, default_root
from bench.base.errors import ArtifactError, BenchError, DataError, ModelError, SuiteError, unknown
from bench.library.results import SuiteLike
from bench.library.running import RecipeLike, choose, conditions_of
from bench.plan.cell import Cell, Conditions, plan
from bench.records.record import write_bytes
from bench.spec.data import Source
from bench.spec.recipe import Recipe
from bench.spec.submission import SUBMISSIONS, SubmissionFile, SubmissionFormat, read_submission
from bench.spec.suite import Suite, Task
from bench.tasks.answer_files import lines_of
from bench.tasks.data import load_data
from bench.tasks.evaluate import Evaluator


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What `submit` wrote: the format, the files by name, and for every other file of the format why it is missing.

    `archive` is the file to upload, None if a file is missing or the grader takes no archive.
    """

    format: SubmissionFormat
    recipe: str
    files: dict[str, Path]
    missing: dict[str, str]
    archive: Path | None

    def __repr__(self) -> str:
        written = [f"{path}  {self.format_rows(name)} predictions" for name, path in self.files.items()]
        absent = [f"missing {line}" for line in _by_reason(self.missing)]
        notes = [f"note: {note}" for note in self.format.notes]
        if not self.format.verified:
            notes.insert(0, f"note: the format is not verified; it follows {self.format.source}")
        end = [f"upload {self.archive}"] if self.archive else []
        return "\n".join([*written, *absent, *notes, *end])

    def format_rows(self, name: str) -> int:
        """How many predictions a file of the format holds."""
        return next(file.rows for file in self.format.files if file.name == name)


def submit(
    suite: SuiteLike,
    model: str | Path | None = None,
    *,
    recipe: RecipeLike,
    benchmark: str | None = None,
    tasks: Sequence[str] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 (as in `run`)
    seed: int | None = None,
    labels: Sequence[str] = (),
    data_dir: str | Path | None = None,
    device: str = "cpu",
    cache: str | Path | None = None,
    out: str | Path = "submission",
) -> Submission:
    """Write the test files that a benchmark's grader takes, from the artifacts that `run` made.

    Nothing is trained. With the arguments of the run its artifacts are found again; if one is not stored, the reason
    in `missing` says which run makes it.

    Args:
        suite: a name, the path of a TOML file, or a `Suite`.
        model: as it was given to `run`; by default the suite's own.
        recipe: one recipe, as given to `run`; `none` submits the reference.
        benchmark: the format: glue, superglue, squad or elue; by default the one named like the suite.
        tasks: only the files of these tasks.
        set: changes by dotted key, as given to `run`; lists are not grids here.
        seed: by default the suite's first.
        labels, data_dir, device, cache: as given to `run`.
        out: a folder; files in it with the same names are replaced.

    Raises:
        BenchError: an unknown name, or not one file can be written; the text says why for each.
    """
    chosen, recipes = choose(suite, [recipe], set or {})
    if len(recipes) != 1:
        names = ", ".join(each.name for each in recipes)
        raise SuiteError(
            f"{recipes[0].base}: found {len(recipes)} variants ({names}), but submit takes one. "
            "Give one value per argument with --set."
        )
    of = model or chosen.model
    if of is None:
        raise SuiteError(f"suite {chosen.name} has no default model. Give the one of the run with --model.")
    source = _Stored(
        suite=chosen,
        called=chosen.name if isinstance(suite, Suite) else str(suite),
        model=str(of),
        recipe=recipes[0],
        seed=chosen.seeds[0] if seed is None else seed,
        conditions=conditions_of(device, data_dir, labels),
        store=Store(Path(cache) if cache else default_root()),
    )
    wanted = [chosen.task(each, where="--task") for each in tasks] if tasks else list(chosen.tasks)
    form = _format(chosen, benchmark)
    ready, missing = _contents(form, wanted, source)
    if not ready:
        reasons = "".join(f"\n  {line}" for line in _by_reason(missing))
        raise ArtifactError(f"{form.title}: no file can be written:{reasons}")
    folder = Path(out)
    for name, text in ready.items():
        write_bytes(folder / name, text.encode())
    archive = None if missing or form.zip is None else _packed(folder / form.zip, ready)
    return Submission(
        format=form,
        recipe=recipes[0].name,
        files={name: folder / name for name in ready},
        missing=missing,
        archive=archive,
    )


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """Which artifacts of the store are submitted."""

    suite: Suite
    called: str  # as a command names the suite
    model: str
    recipe: Recipe
    seed: int
    conditions: Conditions
    store: Store

    def cell(self, task: Task) -> Cell:
        """The cell of the run that made the task's artifact; raises `ArtifactError` if it is not stored."""
        cells = plan(
            self.suite,
            tasks=[task],
            model=self.model,
            recipes=[self.recipe],
            seeds=[self.seed],
            conditions=self.conditions,
        )
        if not self.store.has(*cells[0].artifact_place):
            folder = f" --data-dir {self.conditions.data_dir}" if self.conditions.data_dir else ""
            raise ArtifactError(
                f"no artifact of {self.recipe.name} is stored. `bench run {self.called} --model {self.model} "
                f"--recipe {self.recipe.base} --task {task.name} --seed {self.seed}{folder}` makes it; give it and "
                "submit the same --set, --labels, --device and --cache."
            )
        return cells[0]


def _format(suite: Suite, benchmark: str | None) -> SubmissionFormat:
    if benchmark is not None:
        return read_submission(benchmark, where="--benchmark")
    if suite.name not in SUBMISSIONS.names():
        raise unknown("submission format", suite.name, SUBMISSIONS.names(), where="choose one with --benchmark")
    return read_submission(suite.name)


def _contents(form: SubmissionFormat, tasks: Sequence[Task], source: _Stored) -> tuple[dict[str, str], dict[str, str]]:
    """The text of every file that can be made, and for the others why not."""
    ready, missing = {}, {}
    for file in form.files:
        task = next((each for each in tasks if _data_of(each) in (file.dataset, *file.of)), None)
        if task is None:
            missing[file.name] = "no chosen task of the suite has its data"
            continue
        try:
            ready[file.name] = _text(file, source.cell(task), source)
        except (ArtifactError, DataError, ModelError) as error:
            missing[file.name] = str(error)
    return ready, missing


def _by_reason(missing: Mapping[str, str]) -> list[str]:
    """The missing files with why they are, those with the same reason together; further lines are indented."""
    names: dict[str, list[str]] = {}
    for name, reason in missing.items():
        names.setdefault(reason, []).append(name)
    found = (f"{', '.join(each)}: {reason}" for reason, each in names.items())
    return [line.replace("\n", "\n    ") for line in found]


def _data_of(task: Task) -> str:
    return f"{task.data.source}/{task.data.subset}"


def _text(file: SubmissionFile, cell: Cell, source: _Stored) -> str:
    """What the cell's artifact says of the file's split, as its grader reads it."""
    task = _asked(cell.task, file)
    data = load_data(task, data_dir=cell.conditions.data_dir)
    loaded = load(source.store.path(*cell.artifact_place), device=cell.conditions.device)
    evaluator = Evaluator(
        task=task,
        data=data,
        max_length=cell.suite.max_length(task),
        token_budget=cell.suite.setting.evaluation_tokens,
        device=cell.conditions.device,
    )
    said = evaluator.predict(loaded, file.split).in_words(task.labels)
    return "".join(f"{line}\n" for line in lines_of(file, said, evaluator.examples(file.split)))


def _asked(task: Task, file: SubmissionFile) -> Task:
    """The task with nothing to read but the file's split, whole, and the one on which a threshold is chosen."""
    changes: dict[str, Any] = {
        "evaluate": (file.split,),
        "ood": (),
        "shifted": {},
        "trained_on": task.trained_on or task.name,
        "evaluate_examples": None,
    }
    if _data_of(task) != file.dataset:
        name, _, subset = file.dataset.partition("/")
        # Only texts are needed of it, and it may call the same classes otherwise: IMDb's are neg and pos on the hub.
        changes["data"] = Source(source=name, subset=subset, labels=())
    return task.model_copy(update=changes)


def _packed(path: Path, texts: Mapping[str, str]) -> Path:
    """An archive of all files, without folders."""
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in texts.items():
                archive.writestr(name, text)
    except OSError as error:
        raise BenchError(f"{path}: cannot be written: {error.strerror}") from error
    return path
