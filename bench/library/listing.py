"""What there is, and whether it is valid: lists, one thing in full, a suite's check, the machine and the survey."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.analysis.table import ResultTable
from bench.base.registry import broken_plugins
from bench.library.catalog import aligned, describe, listing
from bench.library.views import TableView

if TYPE_CHECKING:
    from bench.doctor.machine import Diagnosis
    from bench.library.data_check import DataView
    from bench.report.survey.page import Page
    from bench.spec.suite import Suite

WIDTH = 100  # columns of a line that is made of many short words


@dataclass(frozen=True, kw_only=True, repr=False)
class Listing(TableView):
    """Everything of one kind, one row each; iterating gives the names."""

    names: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        rows = [list(self.table.columns), *([str(cell) for cell in row.values()] for row in self.table.rows)]
        return "\n".join(aligned(rows))


class Description(dict[str, Any]):
    """One thing in full: by what it is (`recipe`, `method`, ...), everything known of it; prints as indented lines."""

    def __init__(self, name: str, found: Mapping[str, Any]) -> None:
        super().__init__(found)
        self.name = name

    def __repr__(self) -> str:
        parts = [[f"{self.name} ({kind})", *_lines(data, "  ")] for kind, data in self.items()]
        return "\n".join(line for part in parts for line in part)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


class Sound(NamedTuple):
    """A suite that was checked, with the counts of what a run of it would do, and what its data are like if read."""

    suite: Suite
    recipes: int
    measures: int
    data: tuple[DataView, ...] = ()

    @property
    def cells(self) -> int:
        """Tasks by recipes by seeds."""
        return len(self.suite.tasks) * self.recipes * len(self.suite.seeds)

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps tasks from being run, found in their data."""
        return tuple(problem for each in self.data for problem in each.problems)

    def __repr__(self) -> str:
        size = " x ".join(
            _counted(number, what)
            for number, what in (
                (len(self.suite.tasks), "task"),
                (self.recipes, "recipe"),
                (len(self.suite.seeds), "seed"),
            )
        )
        cells = _counted(self.cells, "cell")
        counts = f"{size} = {cells}, {self.measures} measures, setting {self.suite.setting_id}"
        in_words = any(split.lengths and split.lengths.unit == "words" for each in self.data for split in each.splits)
        hint = ["Lengths are in words. A model's tokens are more; --model counts them."] if in_words else []
        said = f"has {_counted(len(self.problems), 'problem')} in its data" if self.problems else "is valid"
        return "\n".join([*map(repr, self.data), *hint, f"{self.suite.name} {said}: {counts}"])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@dataclass(frozen=True, kw_only=True, repr=False)
class MachineView(TableView):
    """What this machine can measure; a finding is a problem if measurements made here now would be unreliable."""

    findings: tuple[Diagnosis, ...]

    @property
    def problems(self) -> tuple[Diagnosis, ...]:
        """The findings that make measurements on this machine unreliable."""
        return tuple(finding for finding in self.findings if finding.level == "problem")


@dataclass(frozen=True, kw_only=True, repr=False)
class SurveyView:
    """The survey page; `page` holds its parts."""

    page: Page

    def render(self, form: str = "md", *, beside: str | Path = ".") -> str:
        """The page as Markdown with links relative to `beside`, or its tables as `table`, `csv` or `json`."""
        from bench.report.survey.page import written

        return written(self.page, form, beside=Path(beside))

    def save(self, path: str | Path, form: str = "md") -> Path:
        """Write the page to `path`, whose ending .md, .csv or .json names the form, and return the path."""
        from bench.records.record import write_text

        path = Path(path)
        named = {".md": "md", ".csv": "csv", ".json": "json"}.get(path.suffix, form)
        write_text(path, self.render(named, beside=path.parent))
        return path

    def __repr__(self) -> str:
        return repr(TableView(table=self.page.counts))

    def _repr_html_(self) -> str:
        return TableView(table=self.page.counts)._repr_html_()


def list_of(kind: str, *, full: bool = False) -> Listing:
    """Everything of one kind, such as `recipes`, with every column if `full`; remarks name broken plug-ins.

    Raises `UnknownNameError` for an unknown kind.
    """
    rows = listing(kind, full=full)
    table = ResultTable(
        title=kind.capitalize(), columns=tuple(rows[0] if rows else ("name",)), rows=tuple(dict(row) for row in rows)
    )
    skipped = tuple(f"skipped: {broken}" for broken in broken_plugins())
    return Listing(table=table, remarks=skipped, names=tuple(row["name"] for row in rows))


def list_suites(*, full: bool = False) -> Listing:
    """The suites."""
    return list_of("suites", full=full)


def list_tasks(*, full: bool = False) -> Listing:
    """The tasks of all suites."""
    return list_of("tasks", full=full)


def list_datasets(*, full: bool = False) -> Listing:
    """The data sets that the `data` of a task can name."""
    return list_of("datasets", full=full)


def list_sources(*, full: bool = False) -> Listing:
    """The sources that the `data` of a task can name."""
    return list_of("sources", full=full)


def list_transforms(*, full: bool = False) -> Listing:
    """The transforms of rows that the `data` of a task can name."""
    return list_of("transforms", full=full)


def list_kinds(*, full: bool = False) -> Listing:
    """The kinds of tasks, with their metrics."""
    return list_of("kinds", full=full)


def list_metrics(*, full: bool = False) -> Listing:
    """The metrics, with the column that a task names and the kinds that have it."""
    return list_of("metrics", full=full)


def list_models(*, full: bool = False) -> Listing:
    """The built-in models, and what else can be given as a model."""
    return list_of("models", full=full)


def list_recipes(*, full: bool = False) -> Listing:
    """The recipes, with what each saves and cites."""
    return list_of("recipes", full=full)


def list_methods(*, full: bool = False) -> Listing:
    """The methods that recipes are made of."""
    return list_of("methods", full=full)


def list_choices(*, full: bool = False) -> Listing:
    """The named arguments of methods, such as saliencies and grids."""
    return list_of("choices", full=full)


def list_measures(*, full: bool = False) -> Listing:
    """The measures."""
    return list_of("measures", full=full)


def list_columns(*, full: bool = False) -> Listing:
    """The result columns, with unit, direction and meaning."""
    return list_of("columns", full=full)


def show(name: str, *, data_dir: str | Path | None = None) -> Description:
    """One thing in full, by its name in any of the lists; raises `UnknownNameError` that suggests the nearest.

    With `data_dir`, the rows of a task that are in this folder are counted.
    """
    return Description(name, describe(name, data_dir=None if data_dir is None else Path(data_dir)))


def check(suite: str | Path | Suite, *, data_dir: str | Path | None = None, model: str | Path | None = None) -> Sound:
    """Validate a suite, its recipes and every argument without running anything.

    Its data are read too if it says where they are, or `data_dir` does: see `Sound.data` and `Sound.problems`. With
    `model`, lengths are in tokens of its tokenizer, and its head is compared with the labels.

    Raises `SuiteError` or `UnknownNameError` that says where each problem of the suite is, what was found and what was
    expected; `ModelError` if there is no such model.
    """
    from bench.analysis.arguments import check_finding
    from bench.library.results import suite_of
    from bench.measures.base.measure import MEASURES
    from bench.plan.check import check_suite
    from bench.plan.recipes import expand

    chosen = suite_of(suite)
    where = chosen.name if suite is chosen else str(suite)
    check_suite(chosen, where=where)
    recipes = [
        recipe
        for number, choice in enumerate(chosen.recipes, 1)
        for recipe in expand(choice, where=f"{where}: recipe {number}")
    ]
    for number, finding in enumerate(chosen.findings, 1):
        check_finding(finding, recipes, where=f"{where}: finding {number}")
    folder = data_dir or chosen.data_dir
    data: tuple[DataView, ...] = ()
    if folder is not None or model is not None:
        from bench.library.data_check import read_tasks

        named = None if model is None else str(model)
        data = tuple(read_tasks(chosen, data_dir=None if folder is None else Path(folder), model=named))
    return Sound(suite=chosen, recipes=len(recipes), measures=len(MEASURES.names()), data=data)


def examine_machine(
    *,
    threads: int = 1,
    seconds: float = 8.0,
    patience_s: float = 30.0,
    each: Callable[[Diagnosis], object] | None = None,
) -> MachineView:
    """Cores, clock, load, power meters, and the noise floor: the speed-up of a model over itself.

    Args:
        threads: threads used to time the noise floor.
        seconds: minimum duration of the noise floor; 0 skips it.
        patience_s: maximum duration of it if the machine does not settle.
        each: called with every finding as soon as it is known.
    """
    from bench.doctor.examine import examine

    found = []
    for finding in examine(threads=threads, seconds=seconds, patience_s=patience_s):
        found.append(finding)
        if each is not None:
            each(finding)
    table = ResultTable(
        title="What this machine can measure",
        columns=("topic", "level", "found", "advice"),
        rows=tuple(dict(finding._asdict()) for finding in found),
    )
    return MachineView(table=table, findings=tuple(found))


def survey(results: str | Path = "results", *, suites: Sequence[str | Path | Suite] = ()) -> SurveyView:
    """Every row of the survey with its recipes, tests and results, and published next to measured figures.

    `suites` are suites that have records but are not part of the package.
    """
    from bench.library.results import suite_of
    from bench.report.survey.page import page_of

    return SurveyView(page=page_of(Path(results), {suite.name: suite for suite in map(suite_of, suites)}))


def _lines(data: Any, indent: str) -> list[str]:
    """Nested data as indented `key: value` lines."""
    if isinstance(data, dict):
        lines = []
        for key, value in data.items():
            if isinstance(value, (dict, list, tuple)) and value:
                lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
            elif value not in ((), [], {}, None, ""):
                lines.append(f"{indent}{key}: {_text(value, indent)}")
        return lines
    if isinstance(data, (list, tuple)):
        if all(not isinstance(item, (dict, list, tuple)) for item in data):
            sentences = any(", " in str(item) or str(item).endswith(".") for item in data)
            if sentences:
                return [f"{indent}- {item}" for item in data]
            return textwrap.wrap(", ".join(map(str, data)), WIDTH, initial_indent=indent, subsequent_indent=indent)
        lines = []
        for item in data:
            first, *rest = _lines(item, indent + "  ")
            lines += [f"{indent}- {first.strip()}", *rest]
        return lines
    return [f"{indent}{data}"]


def _text(value: Any, indent: str) -> str:
    """A value on its line; further lines of a longer text are indented below it."""
    lines = str(value).strip().splitlines()
    return f"\n{indent}  ".join(line.strip() for line in lines) if len(lines) > 1 else str(value)
