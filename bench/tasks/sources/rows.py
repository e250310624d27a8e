"""One row of a data set as it was read, and how its label becomes a class index or a score."""

from __future__ import annotations

import math
from typing import NamedTuple

from bench.base.errors import DataError
from bench.tasks.sources.tables import Subset

_HIDDEN = -1
_SCORES = (0.0, 5.0)  # STS-B's range


class RawRow(NamedTuple):
    """Texts and label as read; `label` is None if the table has no label column, `where` names file and line."""

    text: str
    pair: str | None
    label: str | int | float | None
    where: str


def class_index(row: RawRow, subset: Subset, labels: tuple[str, ...]) -> int | None:
    """The row's class as an index into `labels`, the order the task wants; None if it is hidden (-1).

    A label is a name, or a number that counts in the hub's order. Raises `DataError` for any other.
    """
    if row.label is None:
        return None
    text = str(row.label).strip()
    if text == str(_HIDDEN):
        return None
    if text.isdecimal() and int(text) < len(subset.labels):
        text = subset.labels[int(text)]
    if text not in subset.labels:
        known = ", ".join(f"{name} ({index})" for index, name in enumerate(subset.labels))
        raise DataError(f"{row.where}: unknown label {row.label!r}. Expected one of {known}.")
    return labels.index(text)


def score(row: RawRow) -> float | None:
    """The row's score in [0, 5]; None if it is hidden (-1). Raises `DataError` for anything else."""
    if row.label is None:
        return None
    try:
        value = float(row.label)
    except ValueError:
        value = math.nan
    if value == _HIDDEN:
        return None
    if not _SCORES[0] <= value <= _SCORES[1]:
        raise DataError(
            f"{row.where}: unknown score {row.label!r}. Expected a number from {_SCORES[0]} to {_SCORES[1]}."
        )
    return value
