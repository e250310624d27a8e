"""GLUE from files on disk in the layout that everybody's copies have: tab-separated tables, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.base.errors import DataError
from bench.tasks.sources.tables import RawRow, Subset

_ENDINGS = (".tsv", ".jsonl")
_MOST_DROPPED = 0.001  # share of malformed lines up to which a table known to have some is accepted


class ReadFile(NamedTuple):
    """The rows of one file, and how many malformed lines were left out."""

    rows: list[RawRow]
    dropped: int


def find_file(subset: Subset, split: str, data_dir: Path) -> Path:
    """The file of `split` below `data_dir`; raises `DataError` that names every path looked for."""
    looked = [
        data_dir / folder / name
        for stem in subset.files[split]
        for folder in subset.folders
        for name in ([stem] if "." in stem else [stem + ending for ending in _ENDINGS])
    ]
    for path in looked:
        if path.is_file():
            return path
    listed = "".join(f"\n  {path}" for path in looked)
    raise DataError(f"no file with the '{split}' split in {data_dir}. Put it at one of these paths:{listed}")


def read_file(path: Path, subset: Subset, *, split: str) -> ReadFile:
    """The rows of a table or of JSON lines, in the file's order.

    A test split may lack the label column, every other split must have it.

    Raises:
        DataError: an unreadable file, missing columns, no rows, or a malformed line, named by its number.
    """
    needs_label = not split.startswith("test")
    if path.suffix == ".jsonl":
        table = ReadFile(list(_json_rows(path, subset, needs_label=needs_label)), 0)
    else:
        headerless = subset.headerless if needs_label else ()
        table = _table_rows(path, subset, headerless=headerless, needs_label=needs_label)
    if not table.rows:
        raise DataError(f"{path}: no rows; expected one example per line")
    return table


def _table_rows(path: Path, subset: Subset, *, headerless: Sequence[str], needs_label: bool) -> ReadFile:
    """Rows of a tab-separated table; quotes mean nothing in these files, so a field is what is between two tabs."""
    lines = _lines(path)
    columns, first = (headerless, 0) if headerless else (lines[0].split("\t") if lines else [], 1)
    if not columns:
        raise DataError(f"{path}: no rows; the file is empty")
    text, pair, label = _columns(subset, columns, where=str(path), needs_label=needs_label)
    rows, dropped = [], 0
    for number, line in enumerate(lines[first:], start=first + 1):
        fields = line.split("\t")
        if len(fields) == len(columns):
            rows.append(
                RawRow(
                    fields[columns.index(text)],
                    fields[columns.index(pair)] if pair else None,
                    fields[columns.index(label)] if label else None,
                    f"{path}:{number}",
                )
            )
        elif subset.drops_malformed:
            dropped += 1
        else:
            raise DataError(f"{path}:{number}: found {len(fields)} tab-separated fields, expected {len(columns)}")
    if dropped > _MOST_DROPPED * len(lines):
        raise DataError(
            f"{path}: {dropped} of {len(lines)} lines do not have {len(columns)} fields. Download the file again."
        )
    return ReadFile(rows, dropped)


def _json_rows(path: Path, subset: Subset, *, needs_label: bool) -> Iterator[RawRow]:
    """Rows of a file with one JSON object a line."""
    for number, line in enumerate(_lines(path), start=1):
        where = f"{path}:{number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where}: not valid JSON: {error}") from error
        if not isinstance(entry, dict):
            raise DataError(f"{where}: found {type(entry).__name__}, expected a JSON object")
        text, pair, label = _columns(subset, list(entry), where=where, needs_label=needs_label)
        yield RawRow(
            _string(entry, text, where),
            _string(entry, pair, where) if pair else None,
            _label(entry, label, where) if label else None,
            where,
        )


def _columns(
    subset: Subset, found: Sequence[str], *, where: str, needs_label: bool
) -> tuple[str, str | None, str | None]:
    """The names under which text, pair and label stand in this file; raises `DataError` for the missing ones."""
    picked = []
    for names, needed in ((subset.text, True), (subset.pair, bool(subset.pair)), (subset.label, needs_label)):
        name = next((name for name in names if name in found), None)
        if name is None and needed:
            raise DataError(f"{where}: no column {' or '.join(names)}. Found: {', '.join(found)}.")
        picked.append(name)
    return str(picked[0]), picked[1], picked[2]


def _string(entry: dict[str, Any], name: str, where: str) -> str:
    if not isinstance(entry[name], str):
        raise DataError(f"{where}: {name} is {entry[name]!r}; expected a string")
    return str(entry[name])


def _label(entry: dict[str, Any], name: str, where: str) -> str | int | float:
    value = entry[name]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(f"{where}: {name} is {value!r}; expected a string or a number")
    return value


def _lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without their ends, a byte order mark or the empty lines at the end."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines
