"""How a number of a column is written for people: one format for each kind of `Column.show`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.columns import Column

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MEGABYTE = 1e6  # bytes; not 2**20, which is a MiB
_SUFFIXES = ("s", "bytes", "kwh", "kgco2e", "eps", "w", "l")  # units at the end of a column's name
_ARROWS = {"higher": "↑", "lower": "↓", None: ""}


def written(column: Column, value: float | int) -> str:
    """`value` with its unit, rounded for reading: 91.2%, 2.31x, 12.3M, 438 MB, 4.10 ms, 0.271."""
    if column.show == "percent":
        return f"{100 * value:.1f}%"
    if column.show == "ratio":
        return f"{value:.2f}x"
    if column.show == "count":
        return _count(value)
    if column.show == "bytes":
        return f"{significant(value / MEGABYTE)} MB"
    if column.show == "seconds":
        return _seconds(value)
    return significant(value)


def both(column: Column, values: Sequence[float]) -> str:
    """The values of single seeds in round brackets, without their unit: (74.2, 50.9)."""
    return f"({', '.join(written(column, value).rstrip('x%') for value in values)})"


def heading(column: Column) -> str:
    """The column's name in words, with its unit if the values do not carry it, and its direction as an arrow."""
    return f"{title(column)} {_ARROWS[column.better]}".strip()


def title(column: Column) -> str:
    """The column's name in words, with its unit if the values do not carry it."""
    unit = column.unit if column.show == "number" and column.unit not in column.name.split("_") else ""
    return f"{words(column)} {unit}".strip()


def words(column: Column) -> str:
    """The column's name in words, without its unit."""
    parts = column.name.split("_")
    return " ".join(parts[:-1] if parts[-1] in _SUFFIXES else parts)


def significant(value: float, digits: int = 3) -> str:
    """`value` to `digits` significant digits; plain notation from 0.001 up to a million, else with an exponent."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{decimals}f}" if decimals else f"{value:.0f}"


def _count(value: float) -> str:
    for factor, prefix in PREFIXES:
        if abs(float(f"{value:.2e}")) >= factor:
            return f"{significant(value / factor)}{prefix}"
    return significant(value) if value % 1 else f"{value:.0f}"


def _seconds(value: float) -> str:
    rounded = abs(float(f"{value:.2e}"))
    if rounded >= 1:
        return f"{significant(value)} s"
    if rounded >= 1e-3:
        return f"{significant(value * 1e3)} ms"
    return f"{significant(value * 1e6)} µs"
