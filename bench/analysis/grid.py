"""Records of a grid by the arguments of their recipes, and the table that shows a column's values by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.analysis.arguments import WHOLE, coordinates, no_argument
from bench.analysis.comparable import comparable
from bench.analysis.means import by_seed, mean_of
from bench.analysis.membership import told_apart
from bench.analysis.seeds import known, trains
from bench.analysis.table import Absent, ResultTable, Shown, TableCell, failure_note
from bench.base.errors import RecordError
from bench.columns import Column, IntervalNames, column
from bench.columns.numbers import both, heading, written
from bench.records.record import Failure, Record
from bench.spec.suite import Finding, Suite

REFERENCE = "reference"
_EMPTY = Absent("no recipe has these values")

Label = tuple[str, ...]  # one value for each axis of a side


class Axes(NamedTuple):
    """What stands down and across: arguments of stages, or `recipe` (its file), `task`, `seed` and `model`."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]


class GridCell(NamedTuple):
    """One cell: its value, the ends of its interval if it has one, and the values of its seeds, if several."""

    value: float | Absent
    ends: tuple[float, float] | None = None
    seeds: tuple[float, ...] = ()

    def bar(self) -> tuple[float, float] | None:
        """The ends of its bar in a picture: those of the interval, or the values of two seeds."""
        return (min(self.seeds), max(self.seeds)) if len(self.seeds) == 2 else self.ends


Body = dict[tuple[Label, Label], GridCell]


@dataclass(frozen=True, kw_only=True)
class RecipeGrid:
    """A column over a grid of recipes: `rows` down, `across` the top, and `body` with what falls into each cell.

    The reference, which has no arguments, is the first row, or the first column if `task` is one of the rows: each
    of its label's words is `REFERENCE`. `seeds` is how many each value is a mean over; `notes` say what the values are
    means over, what their intervals cover, and what is left out.
    """

    title: str
    axes: Axes
    column: Column
    rows: tuple[Label, ...]
    across: tuple[Label, ...]
    body: Body
    models: tuple[str, ...]
    seeds: int
    notes: tuple[str, ...]
    generated: bool

    def at(self, row: Label, label: Label) -> GridCell:
        """The content of a cell."""
        return self.body.get((row, label), GridCell(_EMPTY))

    def name(self, label: Label) -> str:
        """What a label across the top is called."""
        if set(label) == {REFERENCE}:
            return REFERENCE
        parts = zip(self.axes.columns, label, strict=True)
        return ", ".join(part if name in ("task", "recipe", "model") else f"{name} {part}" for name, part in parts)


def grid_of(
    suite: Suite,
    records: Sequence[Record],
    axes: Axes,
    *,
    value: str = "quality",
    where: Mapping[str, str] | None = None,
    failures: Sequence[Failure] = (),
    title: str | None = None,
) -> RecipeGrid:
    """One column over a grid of recipes.

    A cell is the mean over the seeds, and over the tasks that were run if `task` is no axis, by the column's own
    rule, with its interval if it has one. A cell that several recipes fall into has no value and names them.

    Args:
        suite: which the records are of.
        records: of one machine and one setting.
        axes: at least one row and one column, each once.
        value: the result column.
        where: only records with these coordinates, written as in the table.
        failures: cells that failed, which notes name.
        title: what the grid shows; by default the suite's title.

    Raises:
        RecordError: nothing to show, or records that may not stand together. UnknownNameError: no such column, or an
            axis or condition that no recipe has.
    """
    shown = column(value)
    _check(axes)
    records, failures, shared = told_apart(records, failures)
    comparable(records)
    compressed = [(coordinates(record), record) for record in records if record.recipe_base != "none"]
    kept, left = _kept(compressed, [*axes.rows, *axes.columns], where or {})
    if not kept:
        raise RecordError(f"no records of {suite.name} belong in this table. Make some with `bench run {suite.name}`.")
    places: dict[tuple[Label, Label], list[Record]] = {}
    for found, record in kept:
        place = tuple(found[name] for name in axes.rows), tuple(found[name] for name in axes.columns)
        places.setdefault(place, []).append(record)
    rows = _ordered(suite, axes.rows, {row for row, _ in places})
    across = _ordered(suite, axes.columns, {label for _, label in places})
    body = {place: _entry(suite, own, shown) for place, own in places.items()}
    references = [record for record in records if record.recipe_base == "none"]
    if references:
        rows, across = _with_reference(suite, references, axes, shown, where or {}, body, rows, across)
    return RecipeGrid(
        title=title or suite.title,
        axes=axes,
        column=shown,
        rows=tuple(rows),
        across=tuple(across),
        body=body,
        models=tuple(dict.fromkeys(record.model for _, record in kept)),
        seeds=1 if "seed" in (*axes.rows, *axes.columns) else len({record.seed for _, record in kept}),
        notes=(*_notes([record for _, record in kept], left, axes, shown), *shared, *map(failure_note, failures)),
        generated=suite.generated or any(record.generated for record in records),
    )


def grid_of_finding(
    suite: Suite, records: Sequence[Record], finding: Finding, failures: Sequence[Failure] = ()
) -> RecipeGrid:
    """The grid of one finding that a suite defines; raises what `grid_of` raises."""
    return grid_of(
        suite,
        records,
        Axes(rows=finding.rows, columns=finding.columns),
        value=finding.value,
        where=finding.where,
        failures=failures,
        title=finding.title,
    )


def _check(axes: Axes) -> None:
    names = [*axes.rows, *axes.columns]
    if not axes.rows or not axes.columns or len(set(names)) < len(names):
        found = f"rows: {', '.join(axes.rows) or 'none'}; columns: {', '.join(axes.columns) or 'none'}"
        raise RecordError(f"a pivot needs at least one --rows and one --columns, and each name once; found {found}")


def _kept(
    compressed: Sequence[tuple[dict[str, str], Record]], axes: Sequence[str], where: Mapping[str, str]
) -> tuple[list[tuple[dict[str, str], Record]], list[str]]:
    """The records that have every axis and meet the conditions, and the recipes that lack an axis."""
    known = dict.fromkeys([*WHOLE, *(name for found, _ in compressed for name in found)])
    for name in (*axes, *where):
        if name not in known:
            raise no_argument(name, known)
    kept = [
        (found, record)
        for found, record in compressed
        if all(name in found for name in axes) and all(found.get(name) == text for name, text in where.items())
    ]
    lacking = dict.fromkeys(record.recipe for found, record in compressed if any(name not in found for name in axes))
    return kept, list(lacking)


def _ordered(suite: Suite, names: Sequence[str], labels: Iterable[Label]) -> list[Label]:
    """Labels of one side: tasks as in the suite, numbers by size and before words, words by the alphabet."""
    tasks = [task.name for task in suite.tasks]

    def key(label: Label) -> list[tuple[float, str]]:
        return [
            (tasks.index(part), "") if name == "task" else (_number(part), part)
            for name, part in zip(names, label, strict=True)
        ]

    return sorted(labels, key=key)


def _number(part: str) -> float:
    try:
        return float(part)
    except ValueError:
        return float("inf")


def _entry(suite: Suite, records: Sequence[Record], shown: Column) -> GridCell:
    """The mean of the records of one cell."""
    recipes = dict.fromkeys((record.model, record.recipe) for record in records)
    if len(recipes) > 1:
        names = ", ".join(recipe for _, recipe in recipes)
        return GridCell(
            Absent(f"{len(recipes)} recipes share this cell ({names}). Separate them with --where or another axis.")
        )
    own = {(record.task, record.seed): record for record in records}
    tasks = [task.name for task in suite.tasks if any(task.name == name for name, _ in own)]
    counted = [name for name in tasks if name not in suite.macro_excludes] or tasks
    seeds = sorted({seed for _, seed in own})
    lacking = [f"{task}, seed {seed}" for task in counted for seed in seeds if (task, seed) not in own]
    if lacking:
        return GridCell(Absent(f"no record of {'; '.join(lacking)}"))
    mean = mean_of(shown.name, own, counted, seeds)
    if shown.interval is None:
        return GridCell(mean)
    low, high = (mean_of(end, own, counted, seeds) for end in shown.interval[:2])
    each = by_seed(shown.name, own, counted, seeds) if shown.is_score and len(seeds) > 1 else ()
    ends = None if isinstance(low, Absent) or isinstance(high, Absent) else (low, high)
    return GridCell(mean, ends, () if isinstance(each, Absent) else each)


def _with_reference(
    suite: Suite,
    references: Sequence[Record],
    axes: Axes,
    shown: Column,
    where: Mapping[str, str],
    body: Body,
    rows: list[Label],
    across: list[Label],
) -> tuple[list[Label], list[Label]]:
    """Put the reference into `body`, by task, seed and model of each place; returns the labels with its own."""
    down = "task" not in axes.rows
    first = (REFERENCE,) * len(axes.rows if down else axes.columns)
    fixed = {name: text for name, text in where.items() if name in WHOLE and name != "recipe"}
    for label in across if down else rows:
        here = dict(zip(axes.columns if down else axes.rows, label, strict=True))
        wanted = {**fixed, **{name: part for name, part in here.items() if name in WHOLE and name != "recipe"}}
        own = [record for record in references if wanted.items() <= coordinates(record).items()]
        if own:
            body[(first, label) if down else (label, first)] = _entry(suite, own, shown)
    return ([first, *rows], across) if down else (rows, [first, *across])


def _notes(kept: Sequence[Record], left: Sequence[str], axes: Axes, shown: Column) -> list[str]:
    """What the values are means over, what intervals of scores cover, and which recipes are left out."""
    sides = (*axes.rows, *axes.columns)
    over = [
        f"{name} {', '.join(dict.fromkeys(str(getattr(record, name)) for record in kept))}"
        for name in ("task", "seed")
        if name not in sides
    ]
    said = [f"Means over {' and '.join(over)}, on machine {kept[0].machine_id}."] if over else []
    if shown.is_score:
        seeds = sorted({record.seed for record in kept})
        said.append(known(seeds[:1] if "seed" in sides else seeds, map(trains, kept)))
    return [*said, *([f"Not in this table, since they lack an argument of it: {', '.join(left)}."] if left else [])]


def pivot(grid: RecipeGrid) -> ResultTable:
    """The table of a grid, with the ends of intervals in columns that only files show."""
    axes = grid.axes
    return ResultTable(
        title=f"{grid.title}: {heading(grid.column)} by {' and '.join(axes.rows)} and by {' and '.join(axes.columns)}",
        columns=(*axes.rows, *(name for label in grid.across for name in _names(grid, label))),
        rows=tuple(_row(grid, row) for row in grid.rows),
        notes=grid.notes,
        hidden=frozenset(end for label in grid.across for end in IntervalNames.of(grid.name(label))[:2]),
        generated=grid.generated,
    )


def _names(grid: RecipeGrid, label: Label) -> list[str]:
    """The table's columns for one label: its values and, if it has intervals, their ends."""
    title = grid.name(label)
    ends = any(grid.at(row, label).ends for row in grid.rows)
    return [title, *(IntervalNames.of(title).names() if ends else ())]


def _row(grid: RecipeGrid, row: Label) -> dict[str, TableCell]:
    cells: dict[str, TableCell] = dict(zip(grid.axes.rows, row, strict=True))
    for label in grid.across:
        title = grid.name(label)
        low, high = IntervalNames.of(title).names()
        value, ends, seeds = grid.at(row, label)
        if isinstance(value, Absent):
            cells |= dict.fromkeys((title, low, high), value)
            continue
        text = written(grid.column, value)
        if len(seeds) == 2:
            text += f" {both(grid.column, seeds)}"
        elif ends:
            text += " [{}, {}]".format(*(written(grid.column, end).rstrip("x%") for end in ends))
        cells |= {
            title: Shown(value, text),
            **dict(zip((low, high), ends or (Absent("no interval"),) * 2, strict=True)),
        }
    return cells
