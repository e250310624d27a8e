"""Every result column once: its name, unit, direction, meaning, source and oracle."""

from __future__ import annotations

from bench.base.errors import unknown
from bench.columns import agreement, computation, decoding, energy, quality, robustness, storage, time
from bench.columns.column import Column

_GROUPS = (quality, agreement, robustness, computation, time, decoding, storage, energy)

COLUMNS: dict[str, Column] = {column.name: column for group in _GROUPS for column in group.COLUMNS}


def column(name: str, *, where: str | None = None) -> Column:
    """The column called `name`; raises `UnknownNameError` that suggests the nearest name."""
    if name not in COLUMNS:
        raise unknown("column", name, COLUMNS, where=where)
    return COLUMNS[name]


__all__ = ["COLUMNS", "Column", "column"]
