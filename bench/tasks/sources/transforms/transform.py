"""What turns the rows of a table into other rows, or its examples into others, and the transforms by name."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Iterator
from typing import Any

from bench.base.errors import DataError
from bench.base.registry import Registry
from bench.base.schema import Frozen, validated
from bench.tasks.examples import Example
from bench.tasks.sources.rows import MISSING, Row, no_column, value_at

ColumnNames = str | tuple[str, ...]  # a column, or alternatives of which the first that a row has counts


def value_of(row: Row, columns: ColumnNames) -> Any:
    """The value of the first of some columns that the row has; raises `DataError` if it has none of them."""
    names = (columns,) if isinstance(columns, str) else columns
    for name in names:
        found = value_at(row.values, name)
        if found is not MISSING:
            return found
    raise no_column(row.where, names, row.values)


class RowTransform(Frozen, ABC):
    """A named change of rows, for what column names cannot say; its fields are its arguments in `data.transform`."""

    def rows(self, rows: Iterable[Row], *, split: str) -> Iterator[Row]:
        """The rows of a split with other values, or other rows; by default the same. Raises `DataError`."""
        del split
        return iter(rows)

    def examples(self, examples: Iterable[Example], *, split: str) -> Iterator[Example]:
        """The examples that were read from the rows; by default the same."""
        del split
        return iter(examples)

    def columns(self) -> tuple[str, ...]:
        """The columns that `rows` adds to those of the file."""
        return ()


TRANSFORMS: Registry[type[RowTransform]] = Registry(
    "transform",
    modules=(
        "bench.tasks.sources.transforms.gather",
        "bench.tasks.sources.transforms.mark_span",
        "bench.tasks.sources.transforms.record_candidates",
    ),
    group="bench.transforms",
)


def transform_of(stated: dict[str, Any] | str | None, *, where: str) -> RowTransform:
    """The transform that `data.transform` states: a name, or a table with `name` and arguments; none changes nothing.

    Raises `UnknownNameError` for a name that is not registered, `SuiteError` for arguments that it does not take.
    """
    if stated is None:
        return Unchanged()
    table = {"name": stated} if isinstance(stated, str) else dict(stated)
    if not isinstance(name := table.pop("name", None), str):
        raise DataError(f"{where}: a transform needs a name, one of {', '.join(TRANSFORMS.names())}")
    return validated(TRANSFORMS.get(name, where=where), table, where=f"{where}: {name}")


class Unchanged(RowTransform):
    """Rows as they are."""
