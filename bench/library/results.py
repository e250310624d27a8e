"""Records as one object: to filter, list, rank and compare them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bench.analysis.arguments import ran_by
from bench.analysis.compare import DEFAULT, RATIO_THRESHOLD, SCORE_THRESHOLD, ComparedSide, side_of
from bench.analysis.compare import compare as compared
from bench.analysis.grid import Axes, grid_of, grid_of_finding
from bench.analysis.grid import pivot as arranged
from bench.analysis.leaderboard import leaderboard as ranked
from bench.analysis.membership import is_called, renamed, shared_names
from bench.analysis.paired import StoredRecord
from bench.analysis.pareto import pareto as front_of
from bench.analysis.shifted_sets import by_set
from bench.analysis.table import table_of
from bench.base.errors import RecordError, UnknownNameError, unknown
from bench.columns import column
from bench.library.views import BoardView, ComparisonView, FrontView, PivotView, TableView, frame_of
from bench.records.record import Failure, Record, read_failure, read_record
from bench.spec.suite import Suite, load_suite, suite_names

if TYPE_CHECKING:
    from pandas import DataFrame

DEFAULT_RESULTS = Path("results")

SuiteLike: TypeAlias = "str | Path | Suite"
_IDENTITY = ("suite", "machine_id", "setting_id", "model", "task", "recipe", "family", "seed", "created")


@dataclass(frozen=True, repr=False)
class Results:
    """Records with the files they were read from, and the cells that failed.

    `known` is their suite, if it is known; otherwise the package's suite of that name is used. `folder` is where they
    were looked for, None if records were found there and all of them were filtered out.
    """

    found: tuple[StoredRecord, ...]
    failures: tuple[Failure, ...] = ()
    known: Suite | None = None
    folder: Path | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        """Every record, in the order of its path."""
        return tuple(item.record for item in self.found)

    @property
    def suite(self) -> Suite:
        """The suite of the records; raises `RecordError` if there are several, or if it is not in the package."""
        if self.known is not None:
            return self.known
        names = sorted({item.record.suite for item in self.found} | {failure.suite for failure in self.failures})
        if len(names) != 1:
            raise RecordError(
                f"Several suites found. Choose one with `suite`: {', '.join(names)}" if names else "no records found"
            )
        if names[0] not in suite_names():
            raise RecordError(f"suite {names[0]} is not part of the package. Give the path of its file as `suite`.")
        return load_suite(names[0])

    def only(
        self,
        *,
        suite: str | None = None,
        machine: str | None = None,
        setting: str | None = None,
        model: str | None = None,
        tasks: Sequence[str] = (),
        recipes: Sequence[str] = (),
        runtime: str | None = None,
    ) -> Results:
        """The records and failures that match every argument.

        `recipes` are names with or without their arguments; `runtime` is what the measured model was run by. Failures
        are not filtered by machine or runtime.
        """

        def fits(item: Record | Failure) -> bool:
            base = item.recipe.partition("[")[0]
            return (
                suite in (None, item.suite)
                and setting in (None, item.setting_id)
                and (model is None or is_called(item.model, model))
                and (not tasks or item.task in tasks)
                and (not recipes or item.recipe in recipes or base in recipes)
            )

        found = tuple(
            item
            for item in self.found
            if machine in (None, item.record.machine_id)
            and runtime in (None, ran_by(item.record))
            and fits(item.record)
        )
        folder = None if self.found and not found else self.folder
        return replace(self, found=found, failures=tuple(filter(fits, self.failures)), folder=folder)

    def table(self, columns: Sequence[str] | None = None) -> TableView:
        """Every record, one row each, with a reason for each missing value; `bench.list_columns` gives the columns."""
        return TableView(table=table_of(self.records, columns or None, self.failures))

    def shifted(self) -> TableView:
        """Every shifted set of every record, with quality, gap and relative bias, and the quality of its parts.

        Raises `RecordError` if no record has results on shifted data.
        """
        return TableView(table=by_set(self.records, self.failures))

    def to_pandas(self) -> DataFrame:
        """One row per record, with every column that any record has, unrounded.

        A missing value is `pandas.NA`; the column `absent` holds, per row, a dictionary from column to reason.
        """
        columns = dict.fromkeys(name for record in self.records for name in record.values)
        rows = [
            {**{name: getattr(record, name) for name in _IDENTITY}, **record.values, "absent": record.absent}
            for record in self.records
        ]
        return frame_of(rows, [*_IDENTITY, *columns, "absent"])

    def leaderboard(self, track: str | None = None) -> BoardView:
        """The recipes ranked over all tasks that were run.

        If the records have several settings, only those of the suite's own setting count, and a remark says so. Raises
        `RecordError` for records that must not be ranked together, `UnknownNameError` for an unknown track.
        """
        suite, own, remarks = self._of_one_setting()
        board = ranked(suite, own.records, track, failures=own.failures, tasks=own.tasks(suite))
        return BoardView(table=board.table(), remarks=remarks, board=board)

    def pareto(
        self,
        x: str = "flops",
        y: str = "quality",
        *,
        also: Sequence[str] = (),
        reference: Mapping[str, float] | None = None,
    ) -> FrontView:
        """The recipes that no other recipe dominates in the columns `x`, `y` and those in `also`.

        `reference` is the reference point of the hypervolume, one value per column in the column's unit; the default is
        the worst value of each. Raises as `leaderboard` does, and `UnknownNameError` for an unknown column.
        """
        for name in (x, y, *also):
            column(name)
        suite, own, remarks = self._of_one_setting()
        front = front_of(
            suite, own.records, [x, y, *also], failures=own.failures, tasks=own.tasks(suite), reference=reference
        )
        return FrontView(table=front.table(), remarks=remarks, front=front)

    def pivot(
        self,
        rows: Sequence[str],
        columns: Sequence[str],
        *,
        value: str = "quality",
        where: Mapping[str, str] | None = None,
    ) -> PivotView:
        """A column over a grid of recipes: arguments (or recipe, task, seed, model) down and across.

        `where` keeps only records with these arguments, written as in the table. Raises as `leaderboard` does.
        """
        suite, own, remarks = self._of_one_setting()
        axes = Axes(rows=tuple(rows), columns=tuple(columns))
        grid = grid_of(suite, own.records, axes, value=value, where=where, failures=own.failures)
        return PivotView(table=arranged(grid), remarks=remarks, grid=grid)

    def findings(self) -> tuple[PivotView, ...]:
        """The tables that the suite defines; a table without records becomes a remark on the first of the others.

        Raises `RecordError` if none of them has records.
        """
        suite, own, remarks = self._of_one_setting()
        views, lacking = [], []
        for finding in suite.findings:
            try:
                grid = grid_of_finding(suite, own.records, finding, own.failures)
            except (RecordError, UnknownNameError) as error:
                lacking.append(f"{finding.title}: {error}")
            else:
                views.append(PivotView(table=arranged(grid), grid=grid))
        if lacking and not views:
            raise RecordError(lacking[0])
        said = (*remarks, *(f"not shown: {why}" for why in lacking))
        return tuple(replace(view, remarks=said if view is views[0] else ()) for view in views)

    def compare(
        self,
        a: str,
        b: str,
        *,
        columns: Sequence[str] | None = None,
        threshold: float = RATIO_THRESHOLD,
        points: float = SCORE_THRESHOLD,
    ) -> ComparisonView:
        """Recipe `b` against recipe `a` of these records; see `bench.compare`."""
        return compare(a, b, results=self, columns=columns, threshold=threshold, points=points)

    def tasks(self, suite: Suite) -> list[str]:
        """The tasks that were run, in the order of `suite`."""
        seen = {record.task for record in self.records} | {failure.task for failure in self.failures}
        return [task.name for task in suite.tasks if task.name in seen]

    def _of_one_setting(self) -> tuple[Suite, Results, tuple[str, ...]]:
        """The suite, its records (of its own setting only, if there are several), and a remark that says so."""
        suite = self.suite
        if not self.found and self.folder is not None:
            raise no_records(suite.name, self.folder)
        settings = {record.setting_id for record in self.records}
        if len(settings) < 2 or suite.setting_id not in settings:
            return suite, self, ()
        others = ", ".join(sorted(settings - {suite.setting_id}))
        said = f"shown: records of the suite's own setting {suite.setting_id}. For others, use --setting: {others}"
        return suite, self.only(setting=suite.setting_id), (said,)

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        return self._summary() if not self.found else f"{self._summary()}\n\n{self.table()!r}"

    def _repr_html_(self) -> str:
        import html

        said = f"<p>{html.escape(self._summary())}</p>"
        return said if not self.found else said + self.table()._repr_html_()

    def _summary(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"{len(self.found)} record{'' if len(self.found) == 1 else 's'}{failed}"


ResultsLike: TypeAlias = "str | Path | Results"


def load_results(
    path: str | Path = DEFAULT_RESULTS,
    suite: SuiteLike | None = None,
    *,
    machine: str | None = None,
    setting: str | None = None,
    model: str | None = None,
    tasks: Sequence[str] = (),
    recipes: Sequence[str] = (),
    runtime: str | None = None,
) -> Results:
    """The records and failures below a folder.

    Args:
        path: the folder that `bench.run` wrote to, or any folder below it.
        suite: a name, the path of a file or a `Suite`: read its records only. None reads everything.
        machine, setting, model, tasks, recipes, runtime: read only these; see `Results.only`.

    Raises:
        RecordError: there is no such folder, or a record is damaged. UnknownNameError: no such suite.
    """
    root, known = Path(path), None if suite is None else suite_of(suite)
    if known is None and not root.is_dir():
        raise RecordError(
            f"{root}: no such folder. Make records with `bench run SUITE`, or give their folder with --results."
        )
    inside = known is not None and known.name in (root.name, root.parent.name)
    if known is not None and ((root / known.name).is_dir() or not inside):
        root = root / known.name
    files = [file for file in sorted(root.glob("**/*.json")) if not any(map(_hidden, file.relative_to(root).parts))]
    failed = [file for file in files if file.name.endswith(".failed.json")]
    found = Results(
        found=tuple(StoredRecord(record=read_record(file), path=file) for file in files if file not in set(failed)),
        failures=tuple(map(read_failure, failed)),
        known=known,
        folder=Path(path),
    )
    return found.only(machine=machine, setting=setting, model=model, tasks=tasks, recipes=recipes, runtime=runtime)


def leaderboard(suite: SuiteLike, results: ResultsLike = DEFAULT_RESULTS, *, track: str | None = None) -> BoardView:
    """The board of a suite, or of one of its tracks, from a folder or from `Results`; see `Results.leaderboard`."""
    return results_of(results, suite).leaderboard(track)


def pareto(
    suite: SuiteLike,
    results: ResultsLike = DEFAULT_RESULTS,
    *,
    x: str = "flops",
    y: str = "quality",
    also: Sequence[str] = (),
    reference: Mapping[str, float] | None = None,
) -> FrontView:
    """The Pareto front of a suite's recipes, from a folder or from `Results`; see `Results.pareto`."""
    return results_of(results, suite).pareto(x, y, also=also, reference=reference)


def pivot(
    suite: SuiteLike,
    results: ResultsLike = DEFAULT_RESULTS,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    value: str = "quality",
    where: Mapping[str, str] | None = None,
) -> PivotView:
    """A column over a grid of a suite's recipes, from a folder or from `Results`; see `Results.pivot`."""
    return results_of(results, suite).pivot(rows, columns, value=value, where=where)


def compare(
    a: ResultsLike,
    b: ResultsLike,
    *,
    results: ResultsLike = DEFAULT_RESULTS,
    suite: SuiteLike | None = None,
    columns: Sequence[str] | None = None,
    threshold: float = RATIO_THRESHOLD,
    points: float = SCORE_THRESHOLD,
    machine: str | None = None,
    setting: str | None = None,
    model: str | None = None,
    tasks: Sequence[str] = (),
) -> ComparisonView:
    """Compare `b` with `a`: paired differences and ratios with their intervals, and a verdict per column.

    Args:
        a: the baseline: a recipe, a folder of results, or `Results`.
        b: what is compared with it; both are recipes, or neither is.
        results: the records of both recipes.
        suite: the suite; needed only if the records are of several.
        columns: what to compare; by default quality, loyalty, speed-up, size, MACs and energy.
        threshold: ratios that change by less than this share are ignored.
        points: scores that differ by less than this, in the column's unit, are ignored.
        machine, setting, model, tasks: compare only these records; see `Results.only`.

    Raises:
        RecordError: nothing to compare, records from different conditions, or a column that cannot be compared.
        UnknownNameError: no such suite, recipe or column.
    """
    named = None if suite is None else suite_of(suite)
    sets = [side for side in (a, b) if isinstance(side, Results) or Path(side).is_dir()]
    places = sets if len(sets) == 2 else [results]
    name, known, read = _of_one_suite([results_of(place) for place in places], places, named)
    apart = _told_apart([each.only(suite=name) for each in read])
    found = [each.only(machine=machine, setting=setting, model=model, tasks=tasks).found for each in apart]
    titles = [_title(side, letter) for side, letter in ((a, "A"), (b, "B"))]
    if len(sets) == 2:
        sides = [side_of(title, own, with_recipe=True) for title, own in zip(titles, found, strict=True)]
    else:
        sides = _of_recipes(titles, found[0])
    done = compared(
        sides[0],
        sides[1],
        columns or DEFAULT,
        title=f"{known.title if known else name}: {titles[1]} compared with {titles[0]}",
        excluded=known.macro_excludes if known else (),
        ratio_threshold=threshold,
        score_threshold=points,
    )
    return ComparisonView(table=done.table(), comparison=done)


def results_of(results: ResultsLike, suite: SuiteLike | None = None) -> Results:
    """`Results` as they are, or of `suite` only; those below a folder if `results` is its path."""
    if not isinstance(results, Results):
        return load_results(results, suite)
    if suite is None:
        return results
    known = suite_of(suite)
    return replace(results.only(suite=known.name), known=known)


def no_records(suite: str, folder: Path) -> RecordError:
    """The error for a folder that has no records of the suite called `suite`."""
    return RecordError(f"no records of {suite} in {folder} yet. Make some with `bench run {suite}`.")


def suite_of(suite: SuiteLike) -> Suite:
    """A suite by its name or its file's path; a `Suite` as it is."""
    return suite if isinstance(suite, Suite) else load_suite(str(suite))


def _of_one_suite(
    read: Sequence[Results], places: Sequence[ResultsLike], named: Suite | None
) -> tuple[str, Suite | None, Sequence[Results]]:
    """The name of the suite that is compared, the suite itself if it is known, and the results."""
    known = named or next((each.known for each in read if each.known is not None), None)
    if known is not None:
        return known.name, known, read
    found = sorted({record.suite for each in read for record in each.records})
    if len(found) != 1:
        where = ", ".join("results" if isinstance(place, Results) else str(place) for place in places)
        if not found:
            raise RecordError(f"no records in {where} yet. Make some with `bench run SUITE`.")
        raise RecordError(f"Several suites found. Choose one with --suite: {', '.join(found)}")
    return found[0], load_suite(found[0]) if found[0] in suite_names() else None, read


def _told_apart(read: Sequence[Results]) -> list[Results]:
    """The same records; if models share a name within one set, they get distinct names in every set."""
    shared = {name for each in read for name in shared_names(each.records)}
    return [
        replace(each, found=tuple(replace(item, record=renamed(item.record, shared)) for item in each.found))
        for each in read
    ]


def _of_recipes(names: Sequence[str], found: Sequence[StoredRecord]) -> list[ComparedSide]:
    known = sorted({item.record.recipe for item in found})
    for name in names:
        if not known:
            raise RecordError(f"'{name}' is no results folder, and there are no records yet to take a recipe from.")
        if name not in known:
            raise unknown("recipe with records, and no results folder,", name, known)
    return [side_of(name, [item for item in found if item.record.recipe == name], with_recipe=False) for name in names]


def _title(side: ResultsLike, letter: str) -> str:
    return letter if isinstance(side, Results) else str(side)


def _hidden(part: str) -> bool:
    return part.startswith(".")
