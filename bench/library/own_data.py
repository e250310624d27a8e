"""A suite made of a user's own files: one task, whose columns are named or have their usual names."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import DataError, SuiteError
from bench.base.schema import validated
from bench.library.glimpse import Glimpse, Spec, glimpse
from bench.library.own_columns import check_kind, choose_columns, kind_of, role_of, spec_of
from bench.library.own_files import OPTIONS, Files, name_of
from bench.spec.data import TableData
from bench.spec.suite import Suite
from bench.tasks.kinds.kind import KINDS

SEED = 0  # of the split that is held out
COUNTRY = "USA"  # as in the demo suite
MAX_LENGTH = 128
RECIPES = ("none", "int8")

SQUAD = "data[].paragraphs[].qas[]"


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
    choices: str | Sequence[str] = (),
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
    decides the kind of the task: a `label`, one of several `choices`, a `score`, an `answer` in the text `pair`, or a
    `target` text.

    Args:
        data: the file to train on, relative to the current folder.
        validation: the file to evaluate on; without it and `test`, a part of `data` is held out.
        test: another file to evaluate on.
        text: column of the text, or of the question.
        pair: column of the second text, or of the context of a question.
        choices: columns of the candidates, one each, or the column that lists them.
        label: column of the class, or of the right candidate.
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
    columns = {**texts, "choice": spec_of(choices), "label": label, "score": score, "answer": answer, "start": start}
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


def draft(
    files: Files,
    named: Mapping[str, Spec],
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
    where = f"{OPTIONS['train']} {files.paths['train'].name}"
    seen, deep = _look(files.paths["train"], validated(TableData, dict(reading), where=where), header=header)
    reading = {**reading, **deep}
    chosen, taken = choose_columns(seen, named, kind=kind, by_values=by_values)
    taken[:0] = [f"rows are taken from {path}, as in SQuAD" for path in deep.values()]
    kind = kind or kind_of(chosen)
    plugin = KINDS.get(kind, where="--kind")
    check_kind(plugin, chosen)
    if not metrics and not plugin.usual_metrics:
        raise SuiteError(f"--metric: a {kind} task needs one at least; `bench list metrics` names them")
    title = name or name_of(files.paths["train"])
    source: dict[str, Any] = {"files": files.relative, **reading}
    if not seen.header:
        source["header"] = list(seen.columns)
    source["columns"] = {role_of(option): column for option, column in chosen.items()}
    comments = {"tasks.data": "Labels are read from the training split."} if plugin.least_labels else {}
    if taken:
        comments["tasks.data.columns"] = "\n".join(taken)
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
