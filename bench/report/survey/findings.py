"""What grids of recipes show: the tables that suites name, over each result set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.grid import grid_of_finding
from bench.analysis.pivot import pivot
from bench.analysis.table import ResultTable
from bench.base.errors import RecordError, UnknownNameError
from bench.report.survey.sets import ResultSet


def findings(sets: Sequence[ResultSet]) -> tuple[ResultTable, ...]:
    """Every finding of every set's suite; one into which no record of the set falls is left out."""
    tables = []
    for found in sets:
        records = [item.record for item in found.items]
        for finding in found.suite.findings:
            try:
                table = pivot(grid_of_finding(found.suite, records, finding))
            except (RecordError, UnknownNameError):
                continue
            tables.append(replace(table, title=f"{found.label}: {finding.title}"))
    return tuple(tables)
