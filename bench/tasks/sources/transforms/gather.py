"""Rows of one candidate each as rows of a question with all of its candidates, as in MultiRC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from bench.base.errors import DataError
from bench.tasks.sources.labels import spelled
from bench.tasks.sources.rows import Row
from bench.tasks.sources.transforms.transform import TRANSFORMS, ColumnNames, RowTransform, value_of

HIDDEN = "-1"


@TRANSFORMS.register("gather")
class Gather(RowTransform):
    """Join the rows with the same values in `by` to one, with `choices` and `right`, the indices of the right ones.

    Other columns are those of the first of the rows. A row's candidate is right if its `label` is 1 or true; if the
    labels of a split are hidden, `right` is -1.
    """

    by: tuple[ColumnNames, ...] = Field(min_length=1)
    choice: ColumnNames
    label: ColumnNames

    def rows(self, rows: Iterable[Row], *, split: str) -> Iterator[Row]:
        """One row per question, in the order of the data; raises `DataError` for a label that is neither 0 nor 1."""
        found: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            found.setdefault(tuple(spelled(value_of(row, each)) for each in self.by), []).append(row)
        for own in found.values():
            choices = [value_of(row, self.choice) for row in own]
            flags = [self._flag(row, split=split) for row in own]
            known = sum(flag is not None for flag in flags)
            if 0 < known < len(flags):
                raise DataError(
                    f"{own[0].where}: {known} of the {len(flags)} candidates have a label; expected all or none"
                )
            right: Any = [index for index, flag in enumerate(flags) if flag]
            added = {"choices": choices, "right": int(HIDDEN) if None in flags else right}
            yield own[0]._replace(values={**own[0].values, **added})

    def columns(self) -> tuple[str, ...]:
        """`choices` and `right`."""
        return ("choices", "right")

    def _flag(self, row: Row, *, split: str) -> bool | None:
        """Whether the row's candidate is right; None if that is hidden, as it may be in test splits only."""
        try:
            text = spelled(value_of(row, self.label))
        except DataError:
            if split.startswith("test"):
                return None
            raise
        if text in ("0", "1", "false", "true"):
            return text in ("1", "true")
        if text == HIDDEN:
            return None
        raise DataError(f"{row.where}: label {text!r} of a candidate; expected 0 or 1")
