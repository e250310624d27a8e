"""Rows of a table as they are read, and how one of their values is found by the name or the path of its column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from bench.base.errors import DataError

_PART = re.compile(r"\{([^{}]+)\}")


class Row(NamedTuple):
    """The values of a row by column, and where it is: a file or a data set, and its line or its place in words.

    Of nested JSON, `values` also has every part that the row lies in, under its path: `data[]`, `data[].paragraphs[]`.
    """

    values: dict[str, Any]
    file: str
    place: int | str

    @property
    def where(self) -> str:
        """The place in words, as messages begin."""
        return f"{self.file}:{self.place}" if isinstance(self.place, int) else f"{self.file}, {self.place}"


class Table(NamedTuple):
    """The rows of one file, in its order; `columns` are their names if all rows have the same.

    `classes` are, by column, the names of its indices if the file itself says them. `notes` are complete once the rows
    have been read.
    """

    name: str
    columns: tuple[str, ...] | None
    rows: Iterator[Row]
    notes: list[str]
    classes: dict[str, tuple[str, ...]]


class Missing:
    """What is found under the name of a column that a row does not have."""

    def __bool__(self) -> bool:
        return False


MISSING = Missing()


def value_at(values: dict[str, Any], column: str) -> Any:
    """The value of a column, or of a field inside one (`idx.question`, `answers[].text`); `MISSING` if there is none.

    A path through a list (`[]`) gives a list of what is found in each of its entries.
    """
    if column in values:
        return values[column]
    for end in _ends(column):
        if column[:end] in values:
            return _inside(values[column[:end]], column[end:])
    return MISSING


def _ends(path: str) -> Iterator[int]:
    """The places before a dot or a pair of brackets, from the last to the first."""
    return (place for place in range(len(path) - 1, 0, -1) if path[place] == "." or path[place : place + 2] == "[]")


def _inside(value: Any, path: str) -> Any:
    if not path:
        return value
    if path.startswith("[]"):
        if not isinstance(value, list):
            return MISSING
        found = [_inside(each, path[2:]) for each in value]
        return MISSING if any(each is MISSING for each in found) else found
    path = path.removeprefix(".")
    if not isinstance(value, dict):
        return MISSING
    if path in value:
        return value[path]
    for end in _ends(path):
        if path[:end] in value:
            return _inside(value[path[:end]], path[end:])
    return MISSING


def columns_in(spec: str) -> tuple[str, ...]:
    """The columns that `spec` names: those in braces, or itself if it has none."""
    return tuple(_PART.findall(spec)) or (spec,)


def getter(spec: str) -> Callable[[dict[str, Any]], Any]:
    """A function from a row's values to what `spec` names: a column, a path, or a text with columns in braces."""
    parts = _PART.findall(spec)
    if not parts:
        if re.search(r"[.\[]", spec):
            return lambda values: value_at(values, spec)
        return lambda values: values.get(spec, MISSING)

    def filled(values: dict[str, Any]) -> Any:
        found = {part: value_at(values, part) for part in parts}
        if any(value is MISSING for value in found.values()):
            return MISSING
        return _PART.sub(lambda part: str(found[part[1]]), spec)

    return filled


def no_column(where: str, wanted: Iterable[str], found: Iterable[str], *, taken: Iterable[str] = ()) -> DataError:
    """The error for a column that is not there, with those that are and the nearest of them that is not `taken`."""
    names, there = list(wanted), list(found)
    free = [name for name in there if name not in set(taken)]
    by_lower = {name.lower(): name for name in reversed(free)}
    near = [by_lower[hit] for name in names for hit in difflib.get_close_matches(name.lower(), by_lower, n=1)]
    shown = ", ".join(there[:40]) + (f" and {len(there) - 40} more" if len(there) > 40 else "")
    hint = f" Did you mean '{near[0]}'?" if near else ""
    hint = other_delimiter(there) or hint
    return DataError(f"{where}: no column {' or '.join(names)}. Found: {shown or 'none'}.{hint}")


def other_delimiter(columns: Sequence[str]) -> str:
    """What to do if the only column has a name that holds a delimiter; empty if it is not so."""
    found = [mark for mark in DELIMITERS if mark in columns[0]] if len(columns) == 1 else []
    if not found:
        return ""
    shown = {"\t": "\\t"}.get(found[0], found[0])
    option = "--format tsv" if found[0] == "\t" else f'--delimiter "{found[0]}"'
    return f' The only column holds a {DELIMITERS[found[0]]}: set delimiter = "{shown}" ({option}).'


DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "vertical bar"}
