"""The survey page: counts, rows, findings, published against measured, result sets, tests, and what is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.analysis.compare import RATIO_THRESHOLD
from bench.analysis.seeds import known_briefly
from bench.analysis.table import ResultTable
from bench.base.errors import unknown
from bench.report.render import FORMATS, render
from bench.report.survey.notes import read_notes
from bench.report.survey.progress import TITLES, Progress, Recipes, counts, family_table, progress
from bench.report.survey.published import findings, published_table
from bench.report.survey.rows import survey_rows
from bench.report.survey.sets import ResultSet, result_sets
from bench.spec.recipe import read_recipe, recipe_names
from bench.spec.suite import Suite

_UNPUBLISHED = ("reference",)


class Page(NamedTuple):
    """All that the page says, before it is text; `root` is the folder of results."""

    root: Path
    found: tuple[Progress, ...]
    sets: tuple[ResultSet, ...]
    recipes: Recipes
    counts: ResultTable
    rows: tuple[ResultTable, ...]
    findings: tuple[ResultTable, ...]
    published: tuple[ResultTable, ...]


def page_of(root: Path, suites: Mapping[str, Suite] | None = None) -> Page:
    """The page of the results below `root`; raises what reading records, notes and rows raises."""
    sets = result_sets(root, suites)
    recipes = {name: read_recipe(name) for name in recipe_names()}
    notes = read_notes(root, sets)
    found = progress(survey_rows(), recipes, sets)
    families = dict.fromkeys([*TITLES, *sorted(file.family for file in recipes.values())])
    tables = [published_table(name, recipes, sets, notes) for name in families if name not in _UNPUBLISHED]
    return Page(
        root=root,
        found=found,
        sets=sets,
        recipes=recipes,
        counts=counts(found),
        rows=tuple(family_table(family, found, recipes) for family in TITLES),
        findings=findings(sets),
        published=tuple(table for table in tables if table is not None),
    )


def written(page: Page, form: str, *, beside: Path, width: int = 120) -> str:
    """The page as Markdown with links relative to the folder `beside`, or its tables alone in another form.

    `json` is a list of tables, `csv` the tables one after the other with an empty line between. Raises
    `UnknownNameError` for another form.
    """
    tables = (page.counts, *page.rows, *page.findings, *page.published)
    if form == "md":
        return _markdown(page, beside)
    if form == "json":
        return json.dumps([json.loads(render(table, form)) for table in tables], indent=1, ensure_ascii=False) + "\n"
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    return "\n".join(render(table, form, width=width) for table in tables)


def _markdown(page: Page, beside: Path) -> str:
    parts = [
        _opening(page),
        render(page.counts, "md"),
        "## Result sets\n",
        *_sets(page, beside),
        "## Rows\n",
        _ROWS,
        *(render(table, "md") for table in page.rows),
        *_findings(page),
        "## Published against measured\n",
        _PUBLISHED,
        *(render(table, "md") for table in page.published),
        "## Rows and recipes that are incomplete\n",
        _bullets(_missing(page)),
        "## Tests\n",
        _bullets(_tests(page.found)),
    ]
    return "\n".join(parts)


def _opening(page: Page) -> str:
    run = sum(bool(each.sets) for each in page.found)
    part = sum(each.status == "run in part" for each in page.found)
    return f"# The rows of the survey: {run} of {len(page.found)} have runs, {part} of them in part\n\n{_OPENING}"


_OPENING = """\
Every metric, benchmark, system and direction of Xu and McAuley, "A Survey on Model Compression and Acceleration for
Pretrained Language Models" (arXiv:2202.07105), by its id here. `bench survey --out docs/systems.md` writes this page
from the records below `results/` and from `bench/report/survey/rows.toml`. Only the sentences under *why* are written
by hand; they are in `results/notes.toml`. Records of generated data do not count as runs.

*run*: there are records. *run in part*: there are records, but only of a mechanism, or a part of the row is missing
(named below). *tested, not run*: tests check the implementation against the row's equations, but no result is
published. *not there*: neither.
"""
_ROWS = """\
One line per recipe and result set. Retention, speed-up and compression are means over the set's tasks, as on its
board. A *mechanism* lacks a part of the published system. Intervals of retention cover the seeds of their set: with one
seed they are over the examples of one trained model and do not cover what another seed would give.
"""
_FINDINGS = """\
The grids of each suite, as `bench pivot SUITE` shows them for each result set: one argument of the recipes per row,
another per column, with the 95 % interval of each value. A note under each grid says what the intervals cover.
"""
_PUBLISHED = f"""\
*published* is what the original work reports, and whether its source was read. *drop* is the quality lost relative to
the reference: *n.s.* means that it is not significant in the paired test, *one seed* that there is no verdict, since
the recipe trains and ran with one seed. *compression* and *macs ratio* are bytes and multiply-adds of the reference
over the artifact's. *compress epochs* is the processor time of making the artifact, in epochs of the reference's
training.

*direction and size* compares published figures with measured ones, relative to the reference: quality by retention,
speedup and compression as they are, other columns as the artifact's value over the reference's. A direction is as
published or not as published if the whole 95 % interval agrees or disagrees; {100 * RATIO_THRESHOLD:.0f} % around 1
counts as the same. Otherwise it is not judged, and neither is the quality of a recipe that trains and ran with one
seed. Models, data and budgets are smaller here than in the originals, so sizes are for orientation only.

*why* is written by hand about these runs. What it says about the scores of a recipe that trains holds for the seeds of
its set: one seed, unless the list above says more.
"""


def _sets(page: Page, beside: Path) -> list[str]:
    """A list of the sets with links, what their means are over, and the command that shows the board."""
    if not page.sets:
        return ["There are no records yet. Make some with `bench run SUITE`.\n"]
    lines = []
    for found in page.sets:
        link = Path(os.path.relpath(found.folder, beside)).as_posix()
        inside = Path(page.root.name) / found.folder.relative_to(page.root)
        board = f"bench leaderboard {found.suite.name} --results {inside.parent.as_posix()}"
        narrow = f"--setting {found.standings.setting_id} --machine {found.standings.machine}"
        show = f" `{board} {narrow}` shows the board." if inside.name == found.suite.name else ""
        about = f"{found.suite.title}; model {found.model}; {len(found.items)} records."
        knows = f"Intervals of scores: {known_briefly(len(found.standings.seeds))}."
        lines.append(f"[{found.label}]({link}): {about} {' '.join(found.standings.means())} {knows}{show}")
    return [_bullets(lines)]


def _findings(page: Page) -> list[str]:
    """The section of grids; nothing if there is none."""
    tables = [render(table, "md") for table in page.findings]
    return ["## Findings\n", _FINDINGS, *tables] if tables else []


def _missing(page: Page) -> list[str]:
    rows = [(each.row.id, each.row.missing) for each in page.found if each.row.missing]
    recipes = [
        (f"`{name}` ({', '.join(file.rows)})", file.missing) for name, file in page.recipes.items() if file.missing
    ]
    return [f"{lacking}: {missing.rstrip('.')}." for lacking, missing in (*rows, *recipes)]


def _tests(found: Sequence[Progress]) -> list[str]:
    """The tests of every row that has some, below tests/."""
    return [
        f"{each.row.id}, {each.row.name}: {', '.join(f'`{test}`' for test in each.row.all_tests())}"
        for each in found
        if each.row.all_tests()
    ]


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
