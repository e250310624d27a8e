"""The SMART format of older test collections: records with a number (.I) and fields such as title (.T), text (.W)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.base.errors import DataError
from bench.spec.data import TableData
from bench.tasks.sources.decoding import lines_of, read_text
from bench.tasks.sources.rows import Row, Table

_FIELD = re.compile(r"\.([A-Z])\s*(.*)")
NUMBER = "number"  # the place of a record among all of its file, from 1 on


def read_smart(path: Path, data: TableData, *, name: str) -> Table:
    """The records of a file, a column for each letter, empty where a record lacks it; `name` is for messages.

    Beside the letters there is `number`: the judgements of Cranfield count the queries, whose own numbers have gaps.
    Lines of a field are joined by a blank; so are fields of one letter in a record.

    Raises:
        DataError: text before the first record, a record without a number, or no record at all.
    """
    rows = list(_records(lines_of(read_text(path, name=name, encoding=data.encoding)), name))
    columns = tuple(dict.fromkeys(letter for row in rows for letter in row.values))
    blank = dict.fromkeys(columns, "")
    return Table(name, columns, (row._replace(values=blank | row.values) for row in rows), [], {})


def _records(lines: Sequence[str], name: str) -> Iterator[Row]:
    values: dict[str, str] = {}
    letter, begun, count = "", 0, 0
    for place, line in enumerate(lines, start=1):
        text = line.strip()
        marked = _FIELD.fullmatch(text)
        if marked is not None and marked[1] == "I":
            if begun:
                yield Row(values, name, begun)
            if not marked[2]:
                raise DataError(f"{name}:{place}: found '.I' without a number; expected a line such as '.I 1'")
            begun, count = place, count + 1
            values = {"I": marked[2], NUMBER: str(count)}
        elif marked is not None and not marked[2]:
            letter = marked[1]
            values.setdefault(letter, "")
        elif text:
            if not begun:
                raise DataError(
                    f"{name}:{place}: found {text[:40]!r} before the first record; a file in the SMART format begins "
                    "with '.I 1'. Give the file's own format, such as format = \"text\"."
                )
            values[letter] = f"{values[letter]} {text}" if values.get(letter) else text
    if not begun:
        raise DataError(f"{name}: no record; expected lines such as '.I 1', '.T' and '.W'")
    yield Row(values, name, begun)
