"""The first rows of a file of data, to name its columns and to show what is in them."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import DataError
from bench.spec.data import TableData
from bench.tasks.sources.files import find_files, is_data
from bench.tasks.sources.formats import ENDINGS, read_file
from bench.tasks.sources.rows import MISSING, columns_in, value_at

ROWS = 400
Spec = str | tuple[str, ...]  # a column, or several that are one role together
COUNTED = "column{}"  # the name of a column of a file without a header, counted from 1


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """The first rows of a file, whose values are strings, numbers or lists; `name` is what messages call the file.

    `header` says whether the names of the columns stand in the file; they are counted if not.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    header: bool = True

    def sample(self, column: str, *, width: int = 50) -> str:
        """The first value of a column that is not empty, shortened to `width` characters."""
        value = next((str(row[column]) for row in self.rows if row.get(column) not in (None, "")), "")
        return shortened(value, width)

    def described(self, *, width: int = 80) -> list[str]:
        """A line per column with its first value."""
        longest = min(max(map(len, self.columns), default=0), 30)
        return [f"  {name.ljust(longest)}  {self.sample(name, width=width - longest - 4)}" for name in self.columns]

    def lacks(self, spec: Spec) -> str | None:
        """The first of the columns of `spec` that is not there, None if all are."""
        return next((each for each in ((spec,) if isinstance(spec, str) else spec) if not self.has(each)), None)

    def has(self, column: str) -> bool:
        """Whether there is such a column or field, or all columns that a text with columns in braces names."""
        rows = [dict(row) for row in self.rows]
        return all(
            part in self.columns or any(value_at(row, part) is not MISSING for row in rows)
            for part in columns_in(column)
        )

    def values(self, column: str) -> list[str]:
        """The values of a column as text, empty ones left out."""
        return [str(row[column]).strip() for row in self.rows if str(row.get(column, "") or "").strip()]


def shortened(text: str, width: int) -> str:
    """`text` in one line of at most `width` characters, its end cut off if need be."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(width - 3, 0)].rstrip() + "..."


def glimpse(path: Path, data: TableData, *, header: bool = True, whole: bool = False) -> Glimpse:
    """The first rows of a file, or of the first file of a folder, that is read as `data` says.

    Fields of nested JSON are columns under their path. With `whole`, the file is read to its end, which finds mistakes.
    Without `header`, columns are called column1, column2, ... Raises `DataError` for a file that cannot be read or that
    has no rows.
    """
    if path.is_dir() and not any(map(is_data, path.iterdir())):
        raise DataError(f"{path}: a folder without data; expected files that end in {', '.join(ENDINGS)}")
    (first, *_) = find_files(data, path.name, data_dir=path.parent, what="the data")
    if not header:
        fields = read_file(first, data, name=path.name).columns or ()
        data = data.model_copy(
            update={"header": tuple(COUNTED.format(number) for number, _ in enumerate(fields, start=1))}
        )
    table = read_file(first, data, name=path.name)
    found = [_flat(row.values, data) for row in itertools.islice(table.rows, ROWS)]
    deque(table.rows if whole else (), maxlen=0)
    if not found:
        raise DataError(f"{path}: no rows")
    columns = table.columns or tuple(dict.fromkeys(name for row in found for name in row))
    return Glimpse(name=path.name, columns=columns, rows=tuple(found), header=header)


def _flat(values: Mapping[str, Any], data: TableData) -> Mapping[str, Any]:
    """The fields of a row, under their paths if rows lie deep inside JSON; lists of other rows are left out.

    A row that is no object is its own only field.
    """
    if data.rows is None:
        return values
    parts = {path: part for path, part in values.items() if path.endswith("[]")}
    return {
        name: value
        for path, part in parts.items()
        for name, value in (
            ((f"{path}.{key}", each) for key, each in part.items()) if isinstance(part, dict) else ((path, part),)
        )
        if f"{name}[]" not in values
    }
