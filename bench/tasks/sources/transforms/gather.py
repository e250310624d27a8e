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
UNLABELLED = "test"  # how the names of splits begin whose labels are not published

ColumnSpec = str | tuple[str, ...]  # a column, or alternatives of which the first that a row has counts


@TRANSFORMS.register("gather")
class Gather(RowTransform):
    """Give the first row of each question the columns `choices` and `right`, and leave out the others.

    Rows of one question need not stand together; questions keep the order of their first rows. `right` has the indices
    of the choices whose label is one of `means_right`, and is -1 if the labels are hidden. Only in test splits may the
    column of the labels be missing.
    """

    by: tuple[ColumnSpec, ...] = Field(min_length=1, description="columns whose values name the question together")
    choice: ColumnSpec = Field(description="the column with the text of an answer")
    label: ColumnSpec = Field("label", description="the column that says whether the answer is right")
    means_right: tuple[str, ...] = ("1", "true", "True")
    means_wrong: tuple[str, ...] = ("0", "false", "False")
    hidden: tuple[str, ...] = ("-1",)

    def rows(self, rows: Iterable[Row], *, split: str) -> Iterator[Row]:
        """One row per question; raises `DataError` for a label that means nothing, or a question labelled in part."""
        questions: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            key = tuple(spelled(_value(row, column)) for column in self.by)
            questions.setdefault(key, []).append(row)
        for each in questions.values():
            yield self._gathered(each, may_lack_labels=split.startswith(UNLABELLED))

    def columns(self) -> tuple[str, ...]:
        """`choices` as texts, `right` as indices."""
        return ("choices", "right")

    def _gathered(self, rows: list[Row], *, may_lack_labels: bool) -> Row:
        first = rows[0]
        right = [self._is_right(row, may_lack_label=may_lack_labels) for row in rows]
        known = [each for each in right if each is not None]
        if known and len(known) < len(right):
            raise DataError(
                f"{first.where}: {len(known)} of the {len(right)} answers of its question are labelled; expected all "
                "or none"
            )
        added: dict[str, Any] = {"choices": [_value(row, self.choice) for row in rows]}
        added["right"] = [index for index, each in enumerate(right) if each] if known else HIDDEN
        return Row({**first.values, **added}, first.file, first.place)

    def _is_right(self, row: Row, *, may_lack_label: bool) -> bool | None:
        """Whether the answer is right; None if that is hidden."""
        if may_lack_label and _found(row, self.label) is MISSING:
            return None
        value = spelled(_value(row, self.label))
        if value in self.hidden:
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
