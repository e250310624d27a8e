"""The status of each row of the survey: its recipes, their result sets, and tables of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from bench.analysis.standings import Standing
from bench.analysis.table import Absent, ResultTable, TableCell, value_of
from bench.columns import column, with_intervals
from bench.report.survey.rows import Family, SurveyRow
from bench.report.survey.sets import ResultSet
from bench.spec.recipe import RecipeFile

Status = Literal["run", "run in part", "tested, not run", "not tested, not run", "not there"]
Recipes = Mapping[str, RecipeFile]

TITLES: dict[Family, str] = {
    "metric": "Metrics",
    "benchmark": "Benchmarks",
    "weight-sharing": "Weight sharing",
    "low-rank": "Low-rank factorization",
    "pruning": "Pruning",
    "quantization": "Quantization",
    "distillation": "Distillation",
    "supporting": "Supporting systems",
    "direction": "Future directions",
}
SHORT = ("retention", "speedup", "compression")


class Progress(NamedTuple):
    """A row with the recipes that stand for it, the result sets that hold it, and whether all of it is here.

    `whole` is False if the row says that a part is missing, or if what ran are mechanisms alone.
    """

    row: SurveyRow
    recipes: tuple[str, ...]
    sets: tuple[ResultSet, ...]
    whole: bool

    @property
    def status(self) -> Status:
        """Run only if records are; tested if the row names a test."""
        if self.sets:
            return "run" if self.whole else "run in part"
        if self.row.all_tests():
            return "tested, not run"
        return "not tested, not run" if self.recipes or self.row.suites else "not there"


def progress(rows: Sequence[SurveyRow], recipes: Recipes, sets: Sequence[ResultSet]) -> tuple[Progress, ...]:
    """Each row with its recipes and with the sets in which a recipe, a column or a suite of it has a record."""
    found = []
    for row in rows:
        own = tuple(name for name, file in recipes.items() if row.id in file.rows)
        holding = tuple(each for each in sets if _holds(each, row, own))
        ran = [name for name in own if any(each.runs(name) for each in holding)]
        mechanisms = [name for name in ran if recipes[name].status == "mechanism"]
        found.append(Progress(row, own, holding, not row.missing and (not ran or mechanisms != ran)))
    return tuple(found)


def counts(found: Sequence[Progress]) -> ResultTable:
    """How many rows of each family have runs, only tests, or nothing."""
    names = tuple(name for name in get_args(Status) if any(each.status == name for each in found))
    lines: list[dict[str, TableCell]] = []
    for family, title in TITLES.items():
        own = [each.status for each in found if each.row.family == family]
        lines.append({"family": title, "rows": len(own), **{name: own.count(name) for name in names}})
    return ResultTable(title="Rows by family", columns=("family", "rows", *names), rows=tuple(lines))


def family_table(family: Family, found: Sequence[Progress], recipes: Recipes) -> ResultTable:
    """The rows of one family: metrics with their columns, benchmarks with their suites, all else with its recipes."""
    own = [each for each in found if each.row.family == family]
    run = sum(bool(each.sets) for each in own)
    title = f"{TITLES[family]}: {run} of {len(own)} rows have runs."
    if family == "metric":
        return _table(title, ("row", "name", "status", "columns", "records", "in no record"), map(_metric, own))
    if family == "benchmark":
        return _table(title, ("row", "name", "status", "suites", "records", "result sets"), map(_benchmark, own))
    columns = ("row", "name", "status", "recipe", "result set", *with_intervals(*SHORT))
    return _table(title, columns, (line for each in own for line in _system(each, recipes)))


def _holds(found: ResultSet, row: SurveyRow, recipes: Sequence[str]) -> bool:
    if found.suite.name in row.suites or set(recipes) & set(found.recipes().values()):
        return True
    return any(_numbers(found, name) for name in row.columns)


def _numbers(found: ResultSet, name: str) -> list[float | int]:
    """The values of a column in a set: those of its records, or of its board if boards compute it."""
    if column(name).of_boards:
        values = [row.values[name] for row in found.standings.rows]
    else:
        values = [value_of(item.record, name) for item in found.items]
    return [value for value in values if not isinstance(value, Absent)]


def _table(title: str, columns: tuple[str, ...], lines: Iterable[dict[str, TableCell]]) -> ResultTable:
    return ResultTable(title=title, columns=columns, rows=tuple(lines))


def _metric(each: Progress) -> dict[str, TableCell]:
    never = [name for name in each.row.columns if not any(_numbers(found, name) for found in each.sets)]
    return {
        **_head(each),
        "columns": ", ".join(each.row.columns),
        "records": sum(_holding(found, each.row) for found in each.sets),
        "in no record": ", ".join(never),
    }


def _holding(found: ResultSet, row: SurveyRow) -> int:
    """How many records of a set have a column of the row, or are behind a board that has one."""
    if any(column(name).of_boards and _numbers(found, name) for name in row.columns):
        return len(found.items)
    return sum(any(name in item.record.values for name in row.columns) for item in found.items)


def _benchmark(each: Progress) -> dict[str, TableCell]:
    labels = [f"{found.label}: {', '.join(found.standings.counted)}" for found in each.sets]
    return {
        **_head(each),
        "suites": ", ".join(each.row.suites),
        "records": sum(len(found.items) for found in each.sets),
        "result sets": "; ".join(labels),
    }


def _system(each: Progress, recipes: Recipes) -> list[dict[str, TableCell]]:
    """A line for each recipe and result set, and one for a recipe without a run or a row without a recipe.

    A row that is a suite has a line for every recipe that ran in it.
    """
    lines = [_ran(each, row.recipe, found, row) for found in _own_sets(each) for row in found.standings.rows]
    for name in each.recipes:
        kind = " (mechanism)" if recipes[name].status == "mechanism" else ""
        runs = [(found, row) for found in each.sets for row in found.runs(name)]
        lines += [_ran(each, row.recipe + kind, found, row) for found, row in runs]
        if not runs:
            lines.append({**_head(each), "recipe": name + kind, **_nothing("no run")})
    lacking = "no run" if each.row.suites else "no recipe"
    return lines or [{**_head(each), "recipe": "", **_nothing(lacking)}]


def _own_sets(each: Progress) -> list[ResultSet]:
    return [found for found in each.sets if found.suite.name in each.row.suites]


def _ran(each: Progress, recipe: str, found: ResultSet, row: Standing) -> dict[str, TableCell]:
    values: dict[str, TableCell] = {name: row.shown(name) for name in with_intervals(*SHORT)}
    return {**_head(each), "recipe": recipe, "result set": found.label, **values}


def _head(each: Progress) -> dict[str, TableCell]:
    return {"row": each.row.id, "name": each.row.name, "status": each.status}


def _nothing(reason: str) -> dict[str, TableCell]:
    return {"result set": "", **{name: Absent(reason) for name in with_intervals(*SHORT)}}
