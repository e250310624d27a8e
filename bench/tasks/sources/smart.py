"""The SMART format of older test collections: records with a number (.I) and fields such as title (.T) and text (.W)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bench.base.errors import DataError

_FIELD = re.compile(r"\.([A-Z])\s*(.*)")
NUMBER = "number"  # the place of a record among all of its file, from 1 on


class SmartRecord(NamedTuple):
    """One record: the text of each field by its letter, lines joined by a space, and the line where it begins.

    Beside the letters there is `number`: the judgements of Cranfield count the queries, whose own numbers have gaps.
    """

    values: dict[str, str]
    line: int


def smart_records(lines: Iterable[str], *, file: str) -> Iterator[SmartRecord]:
    """The records of a file in its order; a field that occurs several times in a record is joined.

    Args:
        lines: of the file.
        file: its name, for messages.

    Raises:
        DataError: text before the first record, a record without a number, or no record at all.
    """
    values: dict[str, str] = {}
    letter, begun, count = "", 0, 0
    for place, line in enumerate(lines, start=1):
        text = line.strip()
        marked = _FIELD.fullmatch(text)
        if marked is not None and (marked[1] == "I" or not marked[2]):
            letter = marked[1]
            if letter == "I":
                if begun:
                    yield SmartRecord(values, begun)
                if not marked[2]:
                    raise DataError(f"{file}:{place}: found '.I' without a number; expected a line such as '.I 1'")
                begun, count = place, count + 1
                values = {"I": marked[2], NUMBER: str(count)}
        elif text:
            if not begun:
                raise DataError(
                    f"{file}:{place}: found {text[:40]!r} before the first record; a file in the SMART format begins "
                    "with '.I 1'. Give the file's real format, such as format = \"text\"."
                )
            values[letter] = f"{values[letter]} {text}" if values.get(letter) else text
    if not begun:
        raise DataError(f"{file}: contains no record; expected lines such as '.I 1', '.T', '.W'")
    yield SmartRecord(values, begun)
