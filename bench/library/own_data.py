"""A suite made of a user's own files: one task, whose columns are named or have their usual names."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError, DataError, SuiteError, unknown
from bench.base.schema import validated
from bench.library.glimpse import COUNTED, Glimpse, glimpse
from bench.library.guessing import guess, lacks_header
from bench.spec.data import TableData
from bench.spec.suite import Suite
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.sources.formats import ENDINGS
from bench.tasks.sources.rows import other_delimiter

HOLDOUT = 0.2  # share of the training file that is scored if there is no other file
SEED = 0  # of that split
COUNTRY = "USA"  # as in the demo suite
MAX_LENGTH = 128
RECIPES = ("none", "int8")

SQUAD = "data[].paragraphs[].qas[]"

_KINDS = {  # the option that names what is to be predicted -> the kind of task
    "label": "classification",
    "score": "regression",
    "answer": "span_qa",
    "target": "translation",
}
_ROLES = {"score": "label", "answer": "answers"}  # where a column has another name as an option than as a role
_OPTIONS = ("text", "pair", "label", "score", "answer", "start", "target", "group")
_GENERIC = re.compile(r"(train|training|data|dataset|all|full)([._-].*)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class OwnSuite:
    """A suite of own files, and sentences that say what was taken without being asked for."""

    suite: Suite
    taken: tuple[str, ...]
    comments: Mapping[str, str]


def own_suite(
    data: str | Path,
    *,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    score: str | None = None,
    answer: str | None = None,
    start: str | None = None,
    target: str | None = None,
    group: str | None = None,
    kind: str | None = None,
    metrics: Sequence[str] = (),
    max_length: int = MAX_LENGTH,
    holdout: float | None = None,
    rows: str | None = None,
    format: str | None = None,  # noqa: A002 (the key of a suite)
    delimiter: str | None = None,
    encoding: str | None = None,
    quotes: bool = True,
    header: bool = True,
    name: str | None = None,
    model: str | Path | None = None,
    recipes: Sequence[str] = RECIPES,
    data_dir: str | Path | None = None,
) -> Suite:
    """A suite with one task on files of your own: CSV, TSV, JSON lines, JSON, Parquet or text, gzipped or not.

    Columns that are not named are taken by their usual names, such as `text` and `label`. What is to be predicted
    decides the kind of the task: a `label`, a `score`, an `answer` in the text `pair`, or a `target` text.

    Args:
        data: the file to train on, relative to the current folder.
        validation: the file to evaluate on; without it and `test`, a part of `data` is held out.
        test: another file to evaluate on.
        text: column of the text, or of the question.
        pair: column of the second text, or of the context of a question.
        label: column of the class.
        score: column of a number to predict.
        answer: column of the answer, which is a part of the context.
        start: column of the character at which the answer starts; without it, its first occurrence counts.
        target: column of the text to write.
        group: column by which scores are also reported.
        kind: the kind of the task (`bench list kinds`), if the columns do not say it.
        metrics: columns of scores; by default those usual for the kind.
        max_length: tokens per text; longer texts are cut.
        holdout: share of `data` that is held out for evaluation, in (0, 1).
        rows: path to the rows inside JSON, such as `data[].rows[]`; that of SQuAD's files is known.
        format, delimiter, encoding: as in a suite's file; by default told by the file's ending and its first bytes.
        quotes: False if quotation marks are text, as in the tables of GLUE.
        header: False if the first line is a row; columns then are counted: `text="1"`.
        name: of suite and task; by default made of the file's or the folder's name.
        model: the suite's default model.
        recipes: the suite's recipes.
        data_dir: folder that the paths in the suite are relative to; by default the one that holds all files.

    Raises:
        DataError: a file is missing or unreadable. UnknownNameError: it has no such column. SuiteError: the options do
            not fit each other, or a column has to be named; the message shows the columns.
    """
    reading = {
        "rows": rows,
        "format": format,
        "delimiter": delimiter,
        "encoding": encoding,
        "quotes": None if quotes else False,
    }
    texts = {"text": text, "pair": pair, "target": target, "group": group}
    columns = {**texts, "label": label, "score": score, "answer": answer, "start": start}
    return draft(
        Files.of(data, validation, test, holdout=holdout, data_dir=data_dir),
        {option: column for option, column in columns.items() if column is not None},
        reading={key: value for key, value in reading.items() if value is not None},
        header=header,
        kind=kind,
        metrics=metrics,
        max_length=max_length,
        name=name,
        model=None if model is None else str(model),
        recipes=recipes,
    ).suite


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a task by split, the folder that they are relative to, and the share that is held out of them."""

    folder: Path
    paths: Mapping[str, Path]
    holdout: float | None

    @classmethod
    def of(
        cls,
        data: str | Path,
        validation: str | Path | None,
        test: str | Path | None,
        *,
        holdout: float | None = None,
        data_dir: str | Path | None = None,
    ) -> Files:
        """The files as a user gives them; raises `DataError` for one that is missing or outside `data_dir`."""
        given = {"train": data, "validation": validation, "test": test}
        paths = {split: Path(path) for split, path in given.items() if path is not None}
        for split, path in paths.items():
            if not path.exists():
                raise DataError(f"{_OPTION[split]} {path}: no such file{_nearby(path) or _on_the_hub(path)}")
        if holdout is not None and not 0 < holdout < 1:
            raise SuiteError(f"--holdout {holdout:g}: expected a share above 0 and below 1, such as {HOLDOUT}")
        if holdout is not None and validation is not None:
            raise SuiteError(
                f"--holdout {holdout} with --validation {validation}: one of them is enough. Leave out --holdout to "
                "evaluate on the file."
            )
        if holdout is None and validation is None and test is None:
            holdout = HOLDOUT
        folder = _common_folder(paths.values()) if data_dir is None else Path(data_dir)
        for split, path in paths.items():
            if not path.resolve().is_relative_to(folder.resolve()):
                raise DataError(f"{_OPTION[split]} {path}: not in the folder {folder} that --data-dir names")
        return cls(folder=folder, paths=paths, holdout=holdout)

    @property
    def relative(self) -> dict[str, str]:
        """The path of each file relative to the folder."""
        root = self.folder.resolve()
        return {split: path.resolve().relative_to(root).as_posix() for split, path in self.paths.items()}

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The splits that are scored."""
        cut = ("validation",) if self.holdout is not None else ()
        return (*cut, *(split for split in self.paths if split != "train"))


_OPTION = {"train": "--data", "validation": "--validation", "test": "--test"}


def draft(
    files: Files,
    named: Mapping[str, str],
    *,
    reading: Mapping[str, Any],
    header: bool = True,
    kind: str | None = None,
    metrics: Sequence[str] = (),
    max_length: int = MAX_LENGTH,
    name: str | None = None,
    model: str | None = None,
    recipes: Sequence[str] = RECIPES,
    by_values: bool = False,
) -> OwnSuite:
    """The suite of `files`; `named` are columns by option (`label`), `by_values` also guesses by what is in columns.

    Raises as `own_suite` does.
    """
    where = f"{_OPTION['train']} {files.paths['train'].name}"
    seen, deep = _look(files.paths["train"], validated(TableData, dict(reading), where=where), header=header)
    reading = {**reading, **deep}
    chosen, taken = _choose(seen, named, kind=kind, by_values=by_values)
    taken[:0] = [f"rows are taken from {path}, as in SQuAD" for path in deep.values()]
    kind = kind or _kind_of(chosen)
    plugin = KINDS.get(kind, where="--kind")
    _check_kind(plugin, chosen)
    if not metrics and not plugin.usual_metrics:
        raise SuiteError(f"--metric: a {kind} task needs one at least; `bench list metrics` names them")
    title = name or name_of(files.paths["train"])
    source: dict[str, Any] = {"files": files.relative, **reading}
    if not seen.header:
        source["header"] = list(seen.columns)
    source["columns"] = {_ROLES.get(option, option): column for option, column in chosen.items()}
    comments = {"tasks.data.columns": "\n".join(taken)} if taken else {}
    if files.holdout is not None:
        together = chosen.get("pair") if "answer" in chosen else chosen.get("text")
        source["cut"] = {"of": "train", "seed": SEED, "by": together, "shares": {"validation": files.holdout}}
        part = f"{files.holdout:.0%} of {files.paths['train'].name}"
        comments["tasks.data.cut"] = f"{part} is held out and scored; rows with the same {together} stay together"
        taken.append(f"{part} is held out and scored (seed {SEED}); name an evaluation file to score that instead")
    table = {
        "name": title,
        "title": f"Own data: {', '.join(path.name for path in files.paths.values())}",
        **({} if model is None else {"model": model}),
        "recipes": list(recipes),
        "data_dir": str(files.folder),
        "setting": {
            "max_length": max_length,
            "training": {"epochs": 3, "batch_size": 32, "learning_rate": 5e-5},
            "measuring": {"threads": 1, "length": max_length, "country": COUNTRY},
        },
        "tasks": [
            {
                "name": title,
                "kind": kind,
                "metrics": list(metrics or plugin.usual_metrics),
                "data": source,
                "evaluate": list(files.evaluated),
            }
        ],
    }
    return OwnSuite(
        suite=validated(Suite, table, where="--data"), taken=tuple(taken), comments={**_COMMENTS, **comments}
    )


_COMMENTS = {
    "model": "a hub id, a folder or a built-in model; --model replaces it",
    "recipes": "`bench list recipes`",
    "data_dir": "where the files are, relative to this file",
    "setting.max_length": "tokens per example; longer texts are cut",
    "setting.measuring.length": "tokens per example in latency, MACs and memory",
    "setting.measuring.country": "whose electricity grid is assumed for emissions",
    "tasks.data": "Labels are read from the training split.",
}


def _look(path: Path, data: TableData, *, header: bool) -> tuple[Glimpse, dict[str, str]]:
    """The first rows of the file to train on, and where they are if it is JSON in SQuAD's layout."""
    try:
        return glimpse(path, data, header=header), {}
    except DataError:
        if data.rows is not None or ".json" not in path.suffixes:
            raise
        deep = {"rows": SQUAD}
        with contextlib.suppress(DataError):  # then the first one says what is wrong
            return glimpse(path, data.model_copy(update=deep)), deep
        raise


def _choose(
    seen: Glimpse, named: Mapping[str, str], *, kind: str | None, by_values: bool
) -> tuple[dict[str, str], list[str]]:
    """Columns by option, and sentences about those that nobody named."""
    if not seen.header:
        named = {option: COUNTED.format(column) if column.isdigit() else column for option, column in named.items()}
    for option, column in named.items():
        if not seen.has(column):
            raise _no_column(seen, option, column)
    predicted = [option for option in _KINDS if option in named]
    if len(predicted) > 1 and kind is None:
        raise SuiteError(f"--{predicted[0]} with --{predicted[1]}: a task predicts one of them. Leave out the other.")
    guessed = guess(seen, taken=named.values(), by_values=by_values)
    if predicted:  # no other column is predicted then
        guessed = {option: each for option, each in guessed.items() if option not in (*_KINDS, "start")}
    if kind is not None:
        needs = KINDS.get(kind, where="--kind").needs
        guessed = {
            option: each
            for option, each in guessed.items()
            if option not in _KINDS or _ROLES.get(option, option) in needs
        }
    if "text" in named and "answer" not in (*named, *guessed):
        guessed.pop("pair", None)
    guessed = {option: each for option, each in guessed.items() if option not in named}
    chosen = {**{option: each.column for option, each in guessed.items()}, **named}
    if "text" not in chosen:
        raise _which(seen, "text", "the text")
    if kind is None and not any(option in chosen for option in _KINDS):
        raise _which(seen, "label", "the class (or name a number with --score, an answer with --answer)")
    same = [option for option in predicted or _KINDS if option in chosen and chosen[option] == chosen["text"]]
    if same:
        raise SuiteError(f"--text and --{same[0]} are both the column '{chosen['text']}'; name another one")
    taken = [f"column '{each.column}' is taken as --{option}: {each.why}" for option, each in guessed.items()]
    return {option: chosen[option] for option in _OPTIONS if option in chosen}, taken


def _kind_of(chosen: Mapping[str, str]) -> str:
    return next(kind for option, kind in _KINDS.items() if option in chosen)


def _check_kind(kind: TaskKind, chosen: Mapping[str, str]) -> None:
    """Raise `SuiteError` for a kind whose data need what has no option, or a column that nobody named."""
    if kind.searches:
        raise SuiteError(
            f"--kind {kind.name}: it needs documents and judgements, which only a suite can name (docs/suites.md)"
        )
    roles = {_ROLES.get(option, option) for option in chosen}
    lacking = [role for role in kind.needs if role not in roles]
    if not lacking:
        return
    options = [option for option in _OPTIONS if _ROLES.get(option, option) == lacking[0]]
    how = f"Name the column with --{options[0]}." if options else "Only a suite can name them (docs/suites.md)."
    raise SuiteError(f"--kind {kind.name}: it needs {' and '.join(lacking)}. {how}")


def _which(seen: Glimpse, option: str, what: str) -> SuiteError:
    asked = (
        f"--{option}: which column of {seen.name} is {what}?{_headless(seen, option)}{other_delimiter(seen.columns)}"
    )
    return SuiteError("\n".join([f"{asked} It has", *seen.described()]))


def _no_column(seen: Glimpse, option: str, column: str) -> BenchError:
    error = unknown("column", column, seen.columns, where=f"--{option}: {seen.name}")
    advice = f"{_headless(seen, option)}{other_delimiter(seen.columns)}"
    return type(error)("\n".join([f"{error}{advice} The file has", *seen.described()]))


def _headless(seen: Glimpse, option: str) -> str:
    """What to do if the file seems to have no header, or has none."""
    if not seen.header:
        return f" Count columns, as in --{option} 1."
    if lacks_header(seen):
        return (
            f" Its first line seems to be a row, not a header: give --no-header and count columns, as in --{option} 1."
        )
    return ""


def _nearby(path: Path) -> str:
    """The nearest name in the folder of a file that is missing."""
    folder = path.parent
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f". Did you mean {folder / near[0]}?" if near else ""


def _on_the_hub(path: Path) -> str:
    """What to do if the name looks like one of the hub."""
    if path.suffix or path.is_absolute() or len(path.parts) > 2:
        return ""
    return ". It names a file or a folder; a data set of the hub goes into a suite, as data.hub (docs/suites.md)"


def _common_folder(paths: Iterable[Path]) -> Path:
    """The folder that holds all files, relative to the current one if it is in it."""
    folder = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    current = Path.cwd()
    return folder.relative_to(current) if folder.is_relative_to(current) else folder


def name_of(path: Path) -> str:
    """The name of a suite on a file: the file's, or the folder's if the file's says only what part it is."""
    file = Path(path.name.removesuffix(".gz"))
    plain = file.stem if file.suffix.lower() in ENDINGS else file.name
    if _GENERIC.fullmatch(plain):
        plain = path.resolve().parent.name
    return re.sub(r"[^a-z0-9._-]+", "-", plain.lower()).strip("-._") or "own"
