"""Rows of JSON lines, and of JSON in which they may lie deep inside, as in SQuAD's files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
            whole = line.strip() in ("[", "{", "[{")
            extra = ' If the file is one JSON document, set format = "json" (--format json).' if whole else ""
            raise DataError(f"{where}: not valid JSON: {error}.{extra}") from error
        if not data.rows:
            yield Row(_object(entry, data.header, where=where), name, number)
            continue
        if not isinstance(entry, dict):
            raise DataError(f"{where}: found {_called(entry)}, expected a JSON object")
        for values, place in _nested(entry, dict(entry), data, where=where):
            yield Row(values, name, f"line {number}, {place}")


def read_json(path: Path, data: TableData, *, name: str) -> Table:
    """The objects of a JSON file: those at the path `data.rows`, by default those of the list that the file holds."""
    text = read_text(path, name=name, encoding=data.encoding)
    try:
        content = json.loads(text)
    except ValueError as error:
        extra = (
            ' If it holds one object per line, set format = "jsonl" (--format jsonl).'
            if "Extra data" in str(error)
            else ""
        )
        raise DataError(f"{name}: not valid JSON: {error}.{extra}") from error
    if data.rows is None and not isinstance(content, list):
        lists = content if isinstance(content, dict) else {}
        keys = [f"{key}[]" for key, value in lists.items() if isinstance(value, list) and _is_table(value)]
        advice = (
            f'Say where the rows are: rows = "{keys[0]}" (--rows "{keys[0]}"). Lists in it: {", ".join(keys)}.'
            if keys
            else "It holds no list of objects: write one object per row."
        )
        raise DataError(f"{name}: found {_called(content)}, expected a list of objects. {advice}")
    return Table(name, None, _inner(content, data, name=name), [], {})


def _is_table(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], dict)


def _called(value: Any) -> str:
    """What JSON calls a value."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def _inner(content: Any, data: TableData, *, name: str) -> Iterator[Row]:
    if not data.rows:
        for number, entry in enumerate(content):
            place = f"[{number}]"
            yield Row(_object(entry, data.header, where=f"{name}, {place}"), name, place)
        return
    around = dict(content) if isinstance(content, dict) else {}
    for values, place in _nested(content, around, data, where=name):
        yield Row(values, name, place)


def _object(entry: Any, header: Sequence[str], *, where: str) -> dict[str, Any]:
    """A row by column: an object as it is, or a list whose fields `header` names."""
    if isinstance(entry, dict):
        return entry
    if not isinstance(entry, list):
        raise DataError(f"{where}: found {_called(entry)}, expected a JSON object")
    if not header:
        raise DataError(
            f"{where}: found a list, expected a JSON object. If the rows are lists, name their fields in a suite: "
            'header = ["text", "label"].'
        )
    if len(entry) != len(header):
        raise DataError(f"{where}: found a list of {len(entry)}, expected {len(header)} fields: {', '.join(header)}")
    return dict(zip(header, entry, strict=True))


def _nested(
    content: Any, around: dict[str, Any], data: TableData, *, where: str
) -> Iterator[tuple[dict[str, Any], str]]:
    """The entries at the paths to the rows, each with every part that it lies in, and its place.

    Fields of an entry that is a list stand under their names in `data.header`.
    """
    for path in paths_to_rows(data):
        for values, place in _walk(content, around, path, where=where):
            entry = values[path]
            if data.header and isinstance(entry, list):
                values = values | _object(entry, data.header, where=f"{where}, {place}")
            yield values, place


def paths_to_rows(data: TableData) -> tuple[str, ...]:
    """Where rows lie inside JSON, of data that are those of one split; empty if they are what the file holds."""
    if isinstance(data.rows, dict):
        raise ValueError("the paths of all splits together; see TableData.of_split")
    return (data.rows,) if isinstance(data.rows, str) else data.rows or ()


def _walk(content: Any, around: dict[str, Any], path: str, *, where: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The entries at a path such as `data[].paragraphs[].qas[]`."""
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
