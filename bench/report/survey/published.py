"""Published against measured: one table per family, with a line for each recipe and result set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.grid import grid_of_finding, pivot
from bench.analysis.standings import Standing
from bench.analysis.table import Absent, ResultTable, Shown, TableCell
from bench.base.errors import RecordError, UnknownNameError
from bench.columns import with_intervals
from bench.report.survey.figures import relative, said
from bench.report.survey.notes import Notes
from bench.report.survey.progress import Recipes
from bench.report.survey.sets import ResultSet
from bench.spec.recipe import Figure, RecipeFile

MEASURED = with_intervals("drop", "compression", "speedup", "compress_epochs")
COLUMNS = ("recipe", "result set", "published", *MEASURED, "macs ratio", "direction and size", "why")


def published_table(family: str, recipes: Recipes, sets: Sequence[ResultSet], notes: Notes) -> ResultTable | None:
    """The recipes of one family; None if it has no recipe. Recipes without a run are named under the table."""
    own = {name: file for name, file in recipes.items() if file.family == family}
    if not own:
        return None
    lines, idle = [], []
    for name, file in own.items():
        runs = [(found, row) for found in sets for row in found.runs(name)]
        lines += [_line(name, file, found, row, notes) for found, row in runs]
        idle += [] if runs else [name]
    said_of = (f"Without a run: {', '.join(idle)}.",) if idle else ()
    return ResultTable(title=f"Published against measured: {family}", columns=COLUMNS, rows=tuple(lines), notes=said_of)


def _line(name: str, file: RecipeFile, found: ResultSet, row: Standing, notes: Notes) -> dict[str, TableCell]:
    figures = [figure for figure in file.published if figure.of in ("", row.recipe)]
    macs = relative(found, row, "macs")
    return {
        "recipe": row.recipe,
        "result set": found.label,
        "published": _told(figures) or ("nothing for these arguments" if file.published else "nothing"),
        **{column: row.shown(column) for column in MEASURED},
        "macs ratio": macs if isinstance(macs, Absent) else Shown(1 / macs.ratio, f"{1 / macs.ratio:.2f}x"),
        "direction and size": _compared(figures, found, row),
        "why": notes.why(found.label, row.recipe, name),
    }


def _told(figures: Sequence[Figure]) -> str:
    """The figures with their sources and whether these were read, by source; empty without any."""
    by_source: dict[str, list[str]] = {}
    for figure in figures:
        mark = f"({figure.source}; {'verified' if figure.verified else 'not verified'})"
        by_source.setdefault(mark, []).append(figure.figure)
    return " ".join(f"{'; '.join(texts)} {mark}." for mark, texts in by_source.items())


def _compared(figures: Sequence[Figure], found: ResultSet, row: Standing) -> str:
    typed = [said(each, relative(found, row, each.column)) for each in figures if each.column is not None]
    return "; ".join(typed) or "not judged"


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
