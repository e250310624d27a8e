"""Rows of JSON lines, and of JSON in which they may lie deep inside, as in SQuAD's files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.base.errors import DataError
from bench.spec.data import TableData
from bench.tasks.sources.decoding import lines_of, read_text
from bench.tasks.sources.rows import Row, Table


def read_json_lines(path: Path, data: TableData, *, name: str) -> Table:
    """One object per line; raises `DataError` with the line of what is not JSON, or is no object."""
    return Table(name, None, _lines(read_text(path, name=name, encoding=data.encoding), data, name=name), [], {})


def _lines(text: str, data: TableData, *, name: str) -> Iterator[Row]:
    for number, line in enumerate(lines_of(text), start=1):
        where = f"{name}:{number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where}: not valid JSON: {error}") from error
        if not isinstance(entry, dict):
            raise DataError(f"{where}: found {type(entry).__name__}, expected a JSON object")
        if data.rows is None:
            yield Row(entry, name, number)
            continue
        for values, place in _nested(entry, dict(entry), data.rows, where=where):
            yield Row(values, name, f"line {number}, {place}")


def read_json(path: Path, data: TableData, *, name: str) -> Table:
    """The objects of a JSON file: those at the path `data.rows`, by default those of the list that the file holds."""
    text = read_text(path, name=name, encoding=data.encoding)
    try:
        content = json.loads(text)
    except ValueError as error:
        extra = ' If it holds one object per line, set format = "jsonl".' if "Extra data" in str(error) else ""
        raise DataError(f"{name}: not valid JSON: {error}.{extra}") from error
    if data.rows is None and not isinstance(content, list):
        keys = ", ".join(f"{key}[]" for key, value in content.items() if isinstance(value, list)) or "none"
        raise DataError(
            f"{name}: found one {type(content).__name__}, expected a list of objects. Say where the rows are, such as "
            f'rows = "data[]". Lists in it: {keys}.'
        )
    return Table(name, None, _inner(content, data.rows, name=name), [], {})


def _inner(content: Any, path: str | None, *, name: str) -> Iterator[Row]:
    if path is None:
        for number, entry in enumerate(content):
            if not isinstance(entry, dict):
                raise DataError(f"{name}, [{number}]: found {type(entry).__name__}, expected a JSON object")
            yield Row(entry, name, f"[{number}]")
        return
    around = dict(content) if isinstance(content, dict) else {}
    for values, place in _nested(content, around, path, where=name):
        yield Row(values, name, place)


def _nested(content: Any, around: dict[str, Any], path: str, *, where: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The entries at a path such as `data[].paragraphs[].qas[]`, each with every part that it lies in."""
    if not path.endswith("[]"):
        raise DataError(f"rows = {path!r}: expected a path that ends in a list, such as data[] or data[].rows[]")
    steps = path.removesuffix("[]").split("[]")

    def walk(value: Any, level: int, values: dict[str, Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
        if level == len(steps):
            yield values, place
            return
        keys = [key for key in steps[level].split(".") if key]
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                found = ", ".join(value) if isinstance(value, dict) else type(value).__name__
                raise DataError(f"{where}, {place or 'top'}: no {key!r} on the path {path}. Found: {found}.")
            value = value[key]
        if not isinstance(value, list):
            raise DataError(f"{where}, {place or 'top'}: expected a list at {path}, found {type(value).__name__}")
        prefix = "[]".join(steps[: level + 1]) + "[]"
        begin = place + steps[level]
        for number, each in enumerate(value):
            yield from walk(each, level + 1, {**values, prefix: each}, f"{begin}[{number}]")

    return walk(content, 0, around, "")
