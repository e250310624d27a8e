"""Rows of tables whose fields are separated by a character: CSV, TSV and their relatives, with quotes or without."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.base.errors import DataError
from bench.spec.data import TableData
from bench.tasks.sources.decoding import lines_of, read_text
from bench.tasks.sources.rows import DELIMITERS, Row, Table, columns_in, other_delimiter

MOST_DROPPED = 0.001  # share of malformed lines up to which a table known to have some is accepted
_SWALLOWED = 20  # lines inside one quoted field from which on it is looked at whether they are rows themselves
Line = tuple[int, list[str]]  # the number of a row's first line, and its fields


def read_delimited(path: Path, data: TableData, *, name: str, delimiter: str) -> Table:
    """The rows of a delimited file; raises `DataError` with the line for a wrong number of fields or an open quote."""
    delimiter = data.delimiter or delimiter
    text = read_text(path, name=name, encoding=data.encoding)
    lines = _quoted(text, delimiter, name) if data.quotes else _unquoted(text, delimiter)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{name}: no rows; the file is empty")
    rest = lines
    header = tuple(first[1])
    if data.header and not _is_header(header, data):
        header, rest = data.header, _from(first, lines)
    twice = {column for column in header if header.count(column) > 1 and column}
    if twice:
        raise DataError(f"{name}: two columns are called {', '.join(sorted(twice))}; rename one of each")
    notes: list[str] = []
    return Table(name, header, _rows(rest, header, data, name=name, delimiter=delimiter, notes=notes), notes, {})


def _from(first: Line, rest: Iterator[Line]) -> Iterator[Line]:
    yield first
    yield from rest


def _is_header(fields: Sequence[str], data: TableData) -> bool:
    """Whether the first line names the text's column, so that a file has a header although others of it have none."""
    spec = data.columns.get("text", ())
    names = {name for each in ((spec,) if isinstance(spec, str) else spec) for name in columns_in(each)}
    return bool(names & set(fields))


def _rows(
    lines: Iterator[Line], header: tuple[str, ...], data: TableData, *, name: str, delimiter: str, notes: list[str]
) -> Iterator[Row]:
    dropped, total, width, again = 0, 0, len(header), list(header)
    for number, fields in lines:
        total += 1
        if fields == again:
            raise DataError(f"{name}:{number}: the header again; remove it, or give each file of a split by itself")
        if len(fields) == width:
            yield Row(dict(zip(header, fields, strict=True)), name, number)
        elif data.drop_malformed:
            dropped += 1
        else:
            said = _ragged(f"{name}:{number}", len(fields), width, data, delimiter)
            raise DataError(f"{said}.{other_delimiter(header)}")
    if dropped > MOST_DROPPED * (total + 1):
        raise DataError(f"{name}: {dropped} of {total + 1} lines do not have {width} fields. Download the file again.")
    if dropped:
        notes.append(f"{dropped} malformed lines of {name} left out" + ", as in the hub's version" * bool(data.hub))


def _ragged(where: str, found: int, expected: int, data: TableData, delimiter: str) -> str:
    word = DELIMITERS.get(delimiter, repr(delimiter))
    if found > expected:
        what = (
            f"quote texts that hold a {word}" if data.quotes else f"a text holds a {word}, or the header lacks a column"
        )
    else:
        what = "the line is cut off, or the text holds a line end" + " that is not quoted" * data.quotes
    return f"{where}: found {found} {word}-separated field{'' if found == 1 else 's'}, expected {expected}; {what}"


def _unquoted(text: str, delimiter: str) -> Iterator[Line]:
    """Lines split at every delimiter, or at any white space if that is a blank; quote characters are text."""
    for number, line in enumerate(lines_of(text), start=1):
        yield number, line.split() if delimiter == " " else line.removesuffix("\r").split(delimiter)


def _quoted(text: str, delimiter: str, name: str) -> Iterator[Line]:
    """Lines of a file in which quotes enclose fields, with the line on which each row begins; blank lines are none."""
    reader = csv.reader((f"{line}\n" for line in lines_of(text)), delimiter=delimiter, strict=True)
    start, width = 1, 0
    advice = "Close the quote, or set quotes = false (--no-quotes) if quote characters are part of the text."
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines = max(reader.line_num - start + 1, 1)
            if "new-line" in str(error):
                raise DataError(
                    f"{name}:{start}: a carriage return inside a line; remove it, or quote its text"
                ) from error
            over = f" and swallows {lines} lines" if lines > 1 else ""
            raise DataError(f"{name}:{start}: a quote is wrong{over}: {error}. {advice}") from error
        swallowed = _swallowed(fields, delimiter, width) if reader.line_num - start > _SWALLOWED else 0
        if swallowed:
            raise DataError(f"{name}:{start}: a quote swallows {swallowed} lines that are rows themselves. {advice}")
        if fields:
            width = width or len(fields)
            yield start, fields
        start = reader.line_num + 1


def _swallowed(fields: Sequence[str], delimiter: str, width: int) -> int:
    """How many lines inside one field look like rows of the table; 0 unless most of them do."""
    inner = max((field.split("\n")[1:-1] for field in fields), key=len)
    alike = sum(line.count(delimiter) == width - 1 for line in inner)
    return len(inner) if width > 1 and alike > 0.8 * len(inner) else 0
