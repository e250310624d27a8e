"""Several files as one table: one behind the other, or line by line beside each other; and the folders they are in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.base.errors import DataError
from bench.tasks.sources.formats import TEXT
from bench.tasks.sources.rows import Row, Table


def joined(tables: list[Table]) -> Table:
    """The rows of several files, one behind the other; raises `DataError` if their columns differ."""
    first, notes = tables[0], list[str]()
    for table in tables:
        if table.columns != first.columns:
            found, expected = (", ".join(each.columns or ("JSON",)) for each in (table, first))
            raise DataError(f"{table.name}: its columns are {found}, but those of {first.name} are {expected}")

    def rows() -> Iterator[Row]:
        for table in tables:
            yield from table.rows
            notes.extend(table.notes)

    return Table(first.name, first.columns, rows(), notes, first.classes)


def with_folder(table: Table, column: str, folder: str) -> Table:
    """A file's rows with the name of its folder in one more column; raises `DataError` if there is such a column."""
    if column in (table.columns or ()):
        raise DataError(f"{table.name}: folder_column: the file has a column '{column}' already; choose another name")

    def rows() -> Iterator[Row]:
        for row in table.rows:
            if column in row.values:
                raise DataError(f"{row.where}: folder_column: there is a field '{column}' already; choose another name")
            yield row._replace(values={**row.values, column: folder})

    return table._replace(columns=None if table.columns is None else (*table.columns, column), rows=rows())


def beside(table: Table, sides: dict[str, Table]) -> Table:
    """A table of lines with the same line of other files as further columns.

    Raises `DataError` for files of unequal length, and for an empty line: it would shift nothing but teach nothing.
    """
    columns: dict[str, list[Row]] = {TEXT: list(table.rows)}
    columns |= {column: list(side.rows) for column, side in sides.items()}
    for column, side in sides.items():
        if len(columns[column]) != len(columns[TEXT]):
            raise DataError(
                f"{table.name} has {len(columns[TEXT])} lines and {side.name} {len(columns[column])}; "
                "each line must be the translation of the same line in the other file"
            )

    def rows() -> Iterator[Row]:
        for number, first in enumerate(columns[TEXT]):
            values: dict[str, Any] = {column: lines[number].values[TEXT] for column, lines in columns.items()}
            empty = [column for column, value in values.items() if not value]
            if empty:
                other = Path(sides[empty[0]].name if empty[0] in sides else next(iter(sides.values())).name).name
                raise DataError(f"{first.where}: this line or its translation in {other} is empty")
            yield first._replace(values=values)

    return Table(table.name, tuple(columns), rows(), [], {})
