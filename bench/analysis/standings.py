"""Records as one row per recipe: quality and costs over every task and seed, or the reason why a row is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bench.analysis.comparable import comparable, differing
from bench.analysis.elue import COLUMN, RowScores, scores, told
from bench.analysis.means import by_seed, mean_of
from bench.analysis.membership import told_apart
from bench.analysis.seeds import known, trains
from bench.analysis.table import Absent, BySeed, TableCell, flags_of
from bench.analysis.used import used
from bench.base.errors import RecordError, SuiteError
from bench.columns import COLUMNS, column
from bench.records.record import Failure, Record
from bench.spec.setting import completed_measuring
from bench.spec.suite import Suite

_ONE_PROCESS = (
    "Each cell was timed in a single process, so the intervals of speedup are too narrow: another process may give a "
    "ratio outside them."
)
_NAMED = 3  # missing cells, or changed values, named one by one before the rest is only counted

Item = TypeVar("Item", Record, Failure)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One recipe on one model over the whole suite.

    `missing` says why some cell of the row is not there; then every value is absent for that reason, since a mean over
    fewer tasks is another number. `tasks` holds the mean quality over the seeds by task, excluded tasks among them;
    `scores` the ELUE score by task, and nothing if the suite has no baseline.
    `trains` says whether another seed may give another artifact of the same reference; `by_seed` holds the values of
    each seed, of scores with intervals, and nothing if there is one seed only.
    """

    model: str
    recipe: str
    family: str
    is_reference: bool
    missing: str | None
    values: dict[str, float | int | Absent]
    tasks: dict[str, float | Absent]
    flags: tuple[str, ...]
    trains: bool
    by_seed: dict[str, tuple[float, ...]]
    scores: dict[str, float | Absent] = field(default_factory=dict)

    def shown(self, name: str) -> TableCell:
        """The value of a column for a table, with the values of its seeds if it has some."""
        value = self.values[name]
        seeds = self.by_seed.get(name)
        return value if seeds is None or isinstance(value, Absent) else BySeed(float(value), seeds)

    def bar(self, name: str) -> tuple[float, float] | None:
        """The ends of the bar of a value in a picture: those of its interval, or the values of two seeds."""
        seeds = self.by_seed.get(name, ())
        if len(seeds) == 2:
            return min(seeds), max(seeds)
        return self.ends(name)

    def ends(self, name: str) -> tuple[float, float] | None:
        """The ends of the interval of a value; None if it has none."""
        interval = column(name).interval
        if interval is None:
            return None
        low, high = self.values[interval.low], self.values[interval.high]
        return None if isinstance(low, Absent) or isinstance(high, Absent) else (float(low), float(high))


@dataclass(frozen=True, kw_only=True)
class Standings:
    """Every recipe's row, the reference first, with the tasks, seeds and setting of its numbers.

    `counted` are the tasks that the means are over, `seeds` the seeds that every cell must have, `shared` are
    sentences about names that several models share, `used` what recipes used besides the tasks' data.
    """

    suite: Suite
    rows: tuple[Standing, ...]
    counted: tuple[str, ...]
    seeds: tuple[int, ...]
    machine: str
    setting_id: str
    flags: dict[str, str]
    generated: bool
    changes: tuple[str, ...] = ()
    one_process: bool = False
    shared: tuple[str, ...] = ()
    used: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """What the means are over, what the intervals of scores cover, and what ELUE scores are measured from."""
        means, *setting = self.means()
        known_from = known(self.seeds, [row.trains for row in self.rows if not row.is_reference])
        curve = (told(self.suite.baseline),) if self.suite.baseline else ()
        return (means, known_from, *setting, *curve, *self.used)

    def means(self) -> tuple[str, ...]:
        """What the means are over: tasks, tasks left out, seeds, and how the setting differs from the suite's own."""
        everything = [task.name for task in self.suite.tasks]
        left = [name for name in everything if name not in self.counted]
        over = f"{len(self.counted)} tasks" if len(self.counted) > 1 else "1 task"
        without = f", without {', '.join(left)}" if left else ""
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"
        said = [f"Means over {over} ({', '.join(self.counted)}{without}) and {seeds}, on machine {self.machine}."]
        if self.changes:
            said.append(
                f"Setting {self.setting_id} is not the suite's own ({self.suite.setting_id}): "
                f"{'; '.join(self.changes)}."
            )
        if self.one_process:
            said.append(_ONE_PROCESS)
        return (*said, *self.shared)


def standings(
    suite: Suite, records: Sequence[Record], failures: Sequence[Failure] = (), tasks: Sequence[str] | None = None
) -> Standings:
    """The rows of a suite's recipes.

    Args:
        suite: the suite whose tasks a row must cover, except its `macro_excludes`.
        records: its records of one machine and one setting.
        failures: cells that failed; they explain a missing record.
        tasks: cover these tasks only; None is all of them.

    Raises:
        RecordError: no records, or records that may not be ranked together. UnknownNameError: no such task.
        SuiteError: every task is left out.
    """
    if not records:
        raise RecordError(f"no records of {suite.name} found. Make some with `bench run {suite.name}`.")
    records, failures, shared = told_apart(records, failures)
    comparable(records)
    if records[0].suite != suite.name:
        raise RecordError(f"the records are of suite {records[0].suite}, not of {suite.name}")
    counted = _counted(suite, tasks)
    failures = [item for item in failures if item.setting_id == records[0].setting_id]
    relevant: list[Record | Failure] = [*records, *failures]
    seeds = tuple(sorted({item.seed for item in relevant if item.task in counted} or {0}))
    pairs = dict.fromkeys((item.model, item.recipe) for item in relevant)
    done, failed = _by_row(records), _by_row(failures)
    names = [task.name for task in suite.tasks]
    above = scores(suite.baseline, done, names, counted, seeds) if suite.baseline else {}
    rows = [
        _scored(
            _standing(suite, pair, done.get(pair, {}), failed.get(pair, {}), counted, seeds), suite, above.get(pair)
        )
        for pair in pairs
    ]
    return Standings(
        suite=suite,
        rows=tuple(sorted(rows, key=lambda row: (row.model, not row.is_reference, row.family, row.recipe))),
        counted=counted,
        seeds=seeds,
        machine=records[0].machine_id,
        setting_id=records[0].setting_id,
        flags=flags_of(records),
        generated=suite.generated or any(record.generated for record in records),
        changes=_changes(suite, records[0]),
        one_process=any("speedup" in each.values and not _several(each) for each in records),
        shared=shared,
        used=used(records),
    )


def _changes(suite: Suite, record: Record) -> tuple[str, ...]:
    """How the record's setting differs from the suite's: "measuring.length: 32 instead of 128"."""
    if record.setting_id == suite.setting_id:
        return ()
    own = {**suite.setting.model_dump(mode="json"), "task_changes": (), "suite_version": suite.version}
    theirs = {"task_changes": (), **record.setting, "suite_version": record.suite_version}
    theirs["measuring"] = completed_measuring(theirs.get("measuring", {}))
    for part in (own, theirs):
        part["measuring"] = {key: value for key, value in part["measuring"].items() if key != "skip"}
    found = differing([theirs, own], between="instead of") or ["a different version of the suite's file"]
    more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    return (*found[:_NAMED], *more)


def _several(record: Record) -> bool:
    """Whether the record's times come from several processes."""
    return int(record.conditions.get("latency", {}).get("processes", 1)) > 1


def _counted(suite: Suite, tasks: Sequence[str] | None) -> tuple[str, ...]:
    chosen = {suite.task(name, where="tasks").name for name in tasks} if tasks is not None else None
    names = [task.name for task in suite.tasks if task.name not in suite.macro_excludes]
    counted = tuple(name for name in names if chosen is None or name in chosen)
    if not counted:
        raise SuiteError(f"suite {suite.name}: every chosen task is in macro_excludes, so no task is left to average")
    return counted


def _by_row(items: Sequence[Item]) -> dict[tuple[str, str], dict[tuple[str, int], Item]]:
    """By model and recipe, then by task and seed."""
    found: dict[tuple[str, str], dict[tuple[str, int], Item]] = {}
    for item in items:
        found.setdefault((item.model, item.recipe), {})[item.task, item.seed] = item
    return found


def _standing(
    suite: Suite,
    pair: tuple[str, str],
    own: dict[tuple[str, int], Record],
    failed: dict[tuple[str, int], Failure],
    counted: Sequence[str],
    seeds: Sequence[int],
) -> Standing:
    model, recipe = pair
    lacking = [(task, seed) for task in counted for seed in seeds if (task, seed) not in own]
    missing = _why_missing(lacking, failed) if lacking else None
    first = next(iter(own.values()), None)
    return Standing(
        model=model,
        recipe=recipe,
        family=first.family if first else "unknown",
        is_reference=(first.recipe_base if first else recipe) == "none",
        missing=missing,
        values={name: Absent(missing) if missing else mean_of(name, own, counted, seeds) for name in COLUMNS},
        tasks={task.name: _task_quality(task.name, own, failed, seeds) for task in suite.tasks},
        flags=tuple(sorted({flag.code for record in own.values() for flag in record.warnings})),
        trains=any(map(trains, own.values())),
        by_seed={} if missing or len(seeds) < 2 else _by_seed(own, counted, seeds),
    )


def _scored(row: Standing, suite: Suite, found: RowScores | None) -> Standing:
    """The row with its ELUE score, or with the reason why it has none."""
    if found is None:
        lacking = f"suite {suite.name} has no baseline" if suite.baseline is None else str(row.missing)
        return replace(row, values={**row.values, COLUMN: Absent(lacking)})
    overall = Absent(row.missing) if row.missing else found.overall
    return replace(row, values={**row.values, COLUMN: overall}, scores=found.tasks)


def _by_seed(
    own: dict[tuple[str, int], Record], counted: Sequence[str], seeds: Sequence[int]
) -> dict[str, tuple[float, ...]]:
    names = [name for name, item in COLUMNS.items() if item.is_score and item.interval]
    found = {name: by_seed(name, own, counted, seeds) for name in names}
    return {name: values for name, values in found.items() if not isinstance(values, Absent)}


def _why_missing(lacking: Sequence[tuple[str, int]], failed: dict[tuple[str, int], Failure]) -> str:
    reasons = []
    for task, seed in lacking[:_NAMED]:
        failure = failed.get((task, seed))
        why = f"failed in {failure.phase}: {failure.cause}" if failure else "no record"
        reasons.append(f"{task}, seed {seed}: {why}")
    more = len(lacking) - _NAMED
    return "; ".join(reasons) + (f"; and {more} more cells" if more > 0 else "")


def _task_quality(
    task: str, own: dict[tuple[str, int], Record], failed: dict[tuple[str, int], Failure], seeds: Sequence[int]
) -> float | Absent:
    lacking = [(task, seed) for seed in seeds if (task, seed) not in own]
    if lacking:
        return Absent(_why_missing(lacking, failed))
    value = mean_of("quality", own, [task], seeds)
    return value if isinstance(value, Absent) else float(value)
