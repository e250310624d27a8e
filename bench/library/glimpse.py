"""The first rows of a file of data, to name its columns and to show what is in them."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import DataError
from bench.spec.data import TableData

ROWS = 400


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """The first rows of a file, whose values are strings, numbers or lists; `name` is what messages call the file.

    `header` says whether the names of the columns stand in the file; they are counted from 1 if not.
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

    def values(self, column: str) -> list[str]:
        """The values of a column as text, empty ones left out."""
        return [str(row[column]).strip() for row in self.rows if str(row.get(column, "") or "").strip()]


def shortened(text: str, width: int) -> str:
    """`text` in one line of at most `width` characters, its end cut off if need be."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(width - 3, 0)].rstrip() + "..."


def glimpse(path: Path, data: TableData, *, header: bool = True, rows: int = ROWS) -> Glimpse:
    """The first `rows` rows of a file that is read as `data` says.

    Raises `DataError` for a file that cannot be read, or that has no rows.
    """
    found = [dict(row) for row in itertools.islice(_rows(path, data, header), rows)]
    if not found:
        raise DataError(f"{path}: no rows")
    columns = tuple(dict.fromkeys(name for row in found for name in row))
    return Glimpse(name=path.name, columns=columns, rows=tuple(found), header=header)


def _rows(path: Path, data: TableData, header: bool) -> Iterator[Mapping[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    ending = Path(path.name.removesuffix(".gz")).suffix
    if ending == ".parquet":
        from pyarrow import parquet

        yield from parquet.read_table(path).to_pylist()
        return
    with opened(path, "rt", encoding=data.encoding or "utf-8-sig", newline="") as stream:
        if ending == ".jsonl":
            yield from map(json.loads, stream)
        elif ending == ".json":
            yield from json.load(stream)
        else:
            table = csv.reader(stream, delimiter=data.delimiter or ("," if ending == ".csv" else "\t"))
            first = next(table)
            names = first if header else [str(number) for number, _ in enumerate(first, 1)]
            for fields in table if header else itertools.chain([first], table):
                yield dict(zip(names, fields, strict=False))
