"""The scale of one plot axis: unit, direction, prefix, and whether it is logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.columns import Column
from bench.columns.numbers import MEGABYTE, PREFIXES, words

_LOG_RANGE = 10.0  # an axis whose largest value is more than this many times its smallest is logarithmic
_MARGIN = 0.12  # free share of the axis beyond the outermost values, where labels go


@dataclass(frozen=True, kw_only=True)
class Axis:
    """How values of a column go onto an axis: divided by `factor`, between `low` and `high`."""

    column: Column
    factor: float
    unit: str
    log: bool
    low: float
    high: float

    @property
    def label(self) -> str:
        """Name, unit and direction: "flops (GFLOP, lower is better)"."""
        said = [self.unit] if self.unit else []
        said += [f"{self.column.better} is better"] if self.column.better else []
        return f"{words(self.column)} ({', '.join(said)})" if said else words(self.column)

    @property
    def worst(self) -> float:
        """The end of the axis that is worst."""
        return self.high if self.column.better == "lower" else self.low


def axis_for(column: Column, values: Sequence[float]) -> Axis:
    """The axis that shows `values` of a column (unscaled, at least one), with room for labels."""
    factor, unit = _scale(column, max(map(abs, values)))
    shown = [value / factor for value in values]
    least, most = min(shown), max(shown)
    log = least > 0 and most > _LOG_RANGE * least
    if log:
        room = _MARGIN * math.log(most / least)
        low, high = least * math.exp(-room), most * math.exp(room)
    else:
        room = _MARGIN * (most - least) or 0.1 * abs(most) or 1.0
        low, high = least - room, most + room
        low = max(low, 0.0) if least > 0 else low
    return Axis(column=column, factor=factor, unit=unit, log=log, low=low, high=high)


def _scale(column: Column, largest: float) -> tuple[float, str]:
    if column.show == "percent":
        return 0.01, "%"
    if column.show == "bytes":
        return MEGABYTE, "MB"
    if column.show == "ratio":
        return 1.0, "x"
    if column.show == "seconds":
        return (1.0, "s") if largest >= 1 else (1e-3, "ms") if largest >= 1e-3 else (1e-6, "µs")
    if column.show == "count":
        for factor, prefix in PREFIXES:
            if largest >= factor:
                return factor, f"{prefix}{column.unit}"
    return 1.0, column.unit
