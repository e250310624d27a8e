"""Rows with one answer each become one row per question, with all its answers as choices (MultiRC)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from bench.base.errors import DataError
from bench.tasks.sources.labels import spelled
from bench.tasks.sources.rows import MISSING, Row, getter, no_column
from bench.tasks.sources.transforms.transform import TRANSFORMS, RowTransform

HIDDEN = -1

ColumnSpec = str | tuple[str, ...]  # a column, or alternatives of which the first that a row has counts


@TRANSFORMS.register("gather")
class Gather(RowTransform):
    """Give the first row of each question the columns `choices` and `right`, and leave out the others.

    Rows of one question need not stand together; questions keep the order of their first rows. `right` has the indices
    of the choices whose label is one of `means_right`, and is -1 if the labels are hidden.
    """

    by: tuple[ColumnSpec, ...] = Field(min_length=1, description="columns whose values name the question together")
    choice: ColumnSpec = Field(description="the column with the text of an answer")
    label: ColumnSpec = Field("label", description="the column that says whether the answer is right")
    means_right: tuple[str, ...] = ("1", "true", "True")
    means_wrong: tuple[str, ...] = ("0", "false", "False")
    hidden: tuple[str, ...] = ("-1",)

    def rows(self, rows: Iterable[Row], *, split: str) -> Iterator[Row]:
        """One row per question; raises `DataError` for a label that means nothing, or a question labelled in part."""
        del split
        questions: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            key = tuple(spelled(_value(row, column)) for column in self.by)
            questions.setdefault(key, []).append(row)
        for each in questions.values():
            yield self._gathered(each)

    def columns(self) -> tuple[str, ...]:
        """`choices` as texts, `right` as indices."""
        return ("choices", "right")

    def _gathered(self, rows: list[Row]) -> Row:
        first = rows[0]
        right = [self._is_right(row) for row in rows]
        known = [each for each in right if each is not None]
        if known and len(known) < len(right):
            raise DataError(
                f"{first.where}: {len(known)} of the {len(right)} answers of its question are labelled; expected all "
                "or none"
            )
        added: dict[str, Any] = {"choices": [_value(row, self.choice) for row in rows]}
        added["right"] = [index for index, each in enumerate(right) if each] if known else HIDDEN
        return Row({**first.values, **added}, first.file, first.place)

    def _is_right(self, row: Row) -> bool | None:
        """Whether the answer is right; None if that is hidden."""
        found = _found(row, self.label)
        value = spelled(found)
        if found is MISSING or value in self.hidden:
            return None
        if value not in (*self.means_right, *self.means_wrong):
            expected = ", ".join((*self.means_right, *self.means_wrong, *self.hidden))
            raise DataError(f"{row.where}: unknown label {value!r}. Expected one of {expected}.")
        return value in self.means_right


def _listed(columns: ColumnSpec) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else columns


def _found(row: Row, columns: ColumnSpec) -> Any:
    values = (getter(column)(row.values) for column in _listed(columns))
    return next((value for value in values if value is not MISSING), MISSING)


def _value(row: Row, columns: ColumnSpec) -> Any:
    found = _found(row, columns)
    if found is MISSING:
        raise no_column(row.where, _listed(columns), row.values)
    return found
