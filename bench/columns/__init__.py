"""Every result column once: what it is, how it is shown, how it is averaged, and the names of its interval."""

from __future__ import annotations

from bench.columns.column import Column, IntervalNames, Part, PValue
from bench.columns.registry import Columns

COLUMNS = Columns(
    modules=(
        "bench.columns.quality",
        "bench.tasks.metrics.classes",
        "bench.tasks.metrics.ranked",
        "bench.tasks.metrics.scope",
        "bench.tasks.metrics.parity",
        "bench.tasks.metrics.correlations",
        "bench.tasks.metrics.answers",
        "bench.tasks.metrics.decisions",
        "bench.tasks.metrics.perplexity",
        "bench.tasks.metrics.rankings",
        "bench.columns.retention",
        "bench.columns.agreement",
        "bench.columns.robustness",
        "bench.columns.computation",
        "bench.columns.time",
        "bench.columns.decoding",
        "bench.columns.storage",
        "bench.columns.retrieval",
        "bench.columns.energy",
        "bench.columns.boards",
    ),
    group="bench.columns",
    also=("bench.metrics", "bench.measures"),
)


def column(name: str, *, where: str | None = None) -> Column:
    """The column called `name`; raises `UnknownNameError` that suggests the nearest name."""
    return COLUMNS.named(name, where=where)


def with_intervals(*names: str) -> tuple[str, ...]:
    """`names`, each followed by the columns of its interval, if it has one."""
    found: list[str] = []
    for name in names:
        own = COLUMNS.get(name)
        found += [name, *(own.interval.names() if own is not None and own.interval else ())]
    return tuple(dict.fromkeys(found))


__all__ = ["COLUMNS", "Column", "Columns", "IntervalNames", "PValue", "Part", "column", "with_intervals"]
