"""A commented suite for a folder of data: which file is which split, and which column is what, with the reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError, DataError
from bench.library.glimpse import Glimpse, glimpse
from bench.library.guessing import lacks_header
from bench.library.own_data import draft
from bench.library.own_files import Files, name_of
from bench.library.suite_file import suite_text, write_suite
from bench.spec.data import TableData
from bench.tasks.sources.formats import ENDINGS

SUITE = "suite.toml"
_LISTED = 6  # files that a message names
# Matched from the left of the file's name without its ending, in this order.
_SPLITS = {
    "train": re.compile(r"train", re.IGNORECASE),
    "validation": re.compile(r"(dev|val|eval)", re.IGNORECASE),
    "test": re.compile(r"test", re.IGNORECASE),
}


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """A suite that was written: its path, its text, and what was decided and why."""

    path: Path
    text: str
    reasons: tuple[str, ...]


def draft_folder(folder: Path, *, out: Path | None = None, model: str | None = None) -> Drafted:
    """Write a suite for the data in `folder` to `out`, by default `suite.toml` in it.

    Files are told apart by their names, columns by their names or else by what is in them.

    Raises:
        DataError: no file of data, or none that can be the training split. SuiteError: the suite's file exists, or no
            column looks like a text or a label; the message shows the columns.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder. Name the folder that holds train.csv or the like.")
    files, reasons = _files(folder)
    reading, seen = _reading(files["train"])
    if not seen.header:
        reasons.append(f"{files['train'].name} has no header: its first line is a row")
    for split in [split for split in files if split != "train"]:
        lacking = _lacking(files[split], reading, seen)
        if lacking:
            reasons.append(f"{files.pop(split).name} is left out: {lacking}")
    given = Files.of(files["train"], files.get("validation"), files.get("test"), data_dir=folder)
    own = draft(
        given, {}, reading=reading, header=seen.header, model=model, name=name_of(files["train"]), by_values=True
    )
    path = folder / SUITE if out is None else out
    comments = dict(own.comments)
    if reasons:
        comments["tasks.data"] = "\n".join([*reasons, *filter(None, [comments.get("tasks.data")])])
    head = [
        f"Look at the data:  bench check {path.as_posix()}",
        f"Run it:            bench run {path.as_posix()}{'' if model else ' --model DIR'}",
        "What is said below about files and columns is a guess: change what is wrong.",
        "All keys are explained in docs/suites.md.",
        "",
    ]
    text = suite_text(own.suite, folder=path.parent, head=head, comments=comments)
    write_suite(path, text)
    return Drafted(path=path, text=text, reasons=(*reasons, *own.taken))


def _files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The file of each split, and what was decided."""
    every = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    data = [path for path in every if _plain(path).suffix.lower() in ENDINGS or _plain(path).suffix == ""]
    if not data:
        folders = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        inside = f" Its folders: {', '.join(folders)}; name one of them." if folders else ""
        if every and not inside:
            inside = f" Found: {', '.join(path.name for path in every[:_LISTED])}{', ...' * (len(every) > _LISTED)}."
        raise DataError(f"{folder}: no file that ends in {', '.join(ENDINGS)}, or in one of these and .gz.{inside}")
    found: dict[str, Path] = {}
    left = []
    for path in data:
        split = next((split for split, pattern in _SPLITS.items() if pattern.match(path.name)), None)
        if split is None or split in found:
            left.append(path)
        else:
            found[split] = path
    found = {split: found[split] for split in _SPLITS if split in found}
    reasons = [f"{path.name} is {split}: by its name" for split, path in found.items()]
    if "train" not in found:
        if len(data) > 1 or found:
            raise DataError(
                f"{folder}: no file is called train...; found {', '.join(path.name for path in data)}. Rename the "
                "one to train on, or write the suite yourself (docs/suites.md)."
            )
        found, reasons, left = {"train": data[0]}, [f"{data[0].name} is train: it is the only file"], []
    reasons += [f"{path.name} is left out: its name does not say what it is" for path in left]
    return found, reasons


def _plain(path: Path) -> Path:
    """The path without `.gz`."""
    return path.with_suffix("") if path.suffix == ".gz" else path


def _reading(path: Path) -> tuple[dict[str, Any], Glimpse]:
    """How a file is read, as keys of `data`, and its first rows: the first way that works."""
    problems = []
    formats: tuple[Mapping[str, Any], ...] = ({},) if _plain(path).suffix else ({"format": "tsv"}, {"format": "csv"})
    for way in [{**form, **quotes} for form in formats for quotes in ({}, {"quotes": False})]:
        try:
            seen = glimpse(path, TableData(**way), whole=True)
            if len(seen.columns) < 2 and way != formats[-1]:
                continue
            if lacks_header(seen):
                seen = glimpse(path, TableData(**way), header=False)
        except BenchError as error:
            problems.append(error)
        else:
            return way, seen
    raise problems[0]


def _lacking(path: Path, reading: Mapping[str, Any], train: Glimpse) -> str | None:
    """Why a file cannot be evaluated on, None if it can: it lacks a column of the training file."""
    try:
        seen = glimpse(path, TableData(**reading), header=train.header)
    except BenchError as error:
        return str(error)
    missing = [column for column in train.columns if column not in seen.columns]
    return f"it lacks the columns {', '.join(missing)} of the training file" if missing else None
