"""Records as a table: one row per record, each missing value with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.analysis.membership import told_apart
from bench.analysis.seeds import NOT_CALLED, trains
from bench.analysis.used import used
from bench.base.errors import RecordError, unknown
from bench.columns import COLUMNS, column, with_intervals
from bench.records.record import Failure, Record

DEFAULT_COLUMNS = (
    "quality",
    "drop",
    "retention",
    "speedup",
    "compression",
    "size_bytes",
    "params",
    "macs",
    "latency_p50_s",
    "label_loyalty",
    "memory_peak_bytes",
    "energy_kwh",
    "attack_accuracy",
    "ood_quality",
)
_IF_MEASURED = {"speedup": "speedup_real"}  # shown right after another column if a record has it
GENERATED = "Generated data: these numbers show that the harness works, not how good a recipe is."

_IDENTITY: dict[str, Callable[[Record], str | int]] = {
    "suite": lambda record: record.suite,
    "machine": lambda record: record.machine_id,
    "setting": lambda record: record.setting_id,
    "model": lambda record: record.model,
    "task": lambda record: record.task,
    "recipe": lambda record: record.recipe,
    "family": lambda record: record.family,
    "seed": lambda record: record.seed,
    "created": lambda record: record.created,
}
_ALWAYS = ("suite", "machine", "setting", "model", "task", "recipe", "seed")


class Absent(NamedTuple):
    """A missing value with its reason."""

    reason: str


class Shown(NamedTuple):
    """A number of no result column, with how people read it."""

    value: float
    text: str


class BySeed(NamedTuple):
    """A mean over seeds, with the value of each."""

    value: float
    seeds: tuple[float, ...]


TableCell = str | int | float | Absent | Shown | BySeed


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """Rows under columns, not yet formatted.

    `columns` holds names of `bench.columns`, such a name with `:TASK` for its value on one task, and names of what a
    row is (`task`, `recipe`, `rank`). A column `flags` holds the codes of a row's warnings; `flags` says what each
    means.
    `hidden` are columns that only files show, in addition to the ends of intervals, which follow their value.
    `notes` are sentences for under the table; `generated` is True if any row rests on generated data.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, TableCell], ...]
    notes: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    flags: dict[str, str] = field(default_factory=dict)
    generated: bool = False


def table_of(
    records: Sequence[Record], columns: Sequence[str] | None = None, failures: Sequence[Failure] = ()
) -> ResultTable:
    """One row per record; records of several suites, machines or settings may be mixed, with columns that name them.

    Args:
        records: what to list, in any order.
        columns: result columns, and extra ones of what a row is (`family`, `created`); None is `default_columns`.
        failures: cells without a record, each named in a note.

    Raises:
        UnknownNameError: a column that does not exist. RecordError: there is nothing to list.
    """
    if not records and not failures:
        raise RecordError("no records to show. Make some with `bench run SUITE`.")
    records, failures, shared = told_apart(records, failures)
    chosen = with_intervals(*_checked(default_columns(records) if columns is None else columns))
    flags = flags_of(records)
    return ResultTable(
        title="Records",
        columns=(
            *(name for name in _IDENTITY if name in _ALWAYS or name in chosen),
            *(name for name in chosen if name in COLUMNS),
            *(("flags",) if flags else ()),
        ),
        rows=tuple(_row(record, chosen) for record in in_order(records)),
        notes=(*shared, *used(records), *(failure_note(failure) for failure in failures)),
        flags=flags,
        generated=any(record.generated for record in records),
    )


def identified(record: Record) -> dict[str, TableCell]:
    """What a row always says of the record that it is of."""
    return {name: _IDENTITY[name](record) for name in _ALWAYS}


def in_order(records: Iterable[Record]) -> list[Record]:
    """Records by task and model, the reference first."""
    return sorted(records, key=_order)


def default_columns(records: Iterable[Record]) -> tuple[str, ...]:
    """The columns of a table by default: `DEFAULT_COLUMNS`, what was measured on request, and other packages' own."""
    given = {name for record in records for name in record.values}
    more = [name for name in COLUMNS.of_others() if name in given and column(name).part is None]
    usual: list[str] = []
    for name in DEFAULT_COLUMNS:
        usual += [name, *([_IF_MEASURED[name]] if _IF_MEASURED.get(name) in given else [])]
    return (*usual, *more)


def value_of(record: Record, name: str) -> float | int | Absent:
    """The record's value of a column, or the reason why it is absent."""
    if name in record.values:
        return record.values[name]
    return Absent(record.absent.get(name, "the record has no such column"))


def called_of(record: Record, name: str) -> float | int | Absent:
    """As `value_of`, but a test's p is absent if the record's one seed allows no verdict."""
    value = value_of(record, name)
    part = column(name).part
    tested = part is not None and part.which == "p" and not isinstance(value, Absent)
    return Absent(NOT_CALLED) if tested and trains(record) else value


def flags_of(records: Iterable[Record]) -> dict[str, str]:
    """Each code of the records' warnings with the text of the first, and to how many records it applies."""
    sentences: dict[str, str] = {}
    counts: dict[str, int] = {}
    everything = list(records)
    for record in everything:
        for code, says in {flag.code: flag.says for flag in record.warnings}.items():
            sentences.setdefault(code, says)
            counts[code] = counts.get(code, 0) + 1
    return {code: f"{code}: {says}{_applies(counts[code], len(everything))}" for code, says in sentences.items()}


def failure_note(failure: Failure) -> str:
    """One sentence that says which cell failed, in which phase and why."""
    cell = f"{failure.task}, {failure.recipe}, seed {failure.seed}"
    verb = "interrupted" if failure.interrupted else "failed"
    return f"{cell}: {verb} in {failure.phase}: {failure.cause}"


def _applies(count: int, total: int) -> str:
    if total == 1:
        return ""
    return f" (applies to {f'all {total}' if count == total else f'{count} of {total}'} records)"


def _checked(columns: Sequence[str]) -> list[str]:
    for name in columns:
        if name not in COLUMNS and name not in _IDENTITY:
            raise unknown("column", name, [*COLUMNS, *_IDENTITY])
    return [name if name in _IDENTITY else column(name).name for name in columns]


def _row(record: Record, chosen: Sequence[str]) -> dict[str, TableCell]:
    row: dict[str, TableCell] = {name: read(record) for name, read in _IDENTITY.items()}
    row.update({name: called_of(record, name) for name in chosen if name in COLUMNS})
    row["flags"] = ", ".join(sorted({flag.code for flag in record.warnings}))
    return row


def _order(record: Record) -> tuple[str | int | bool, ...]:
    place = (record.suite, record.machine_id, record.setting_id, record.task, record.model)
    return (*place, record.recipe_base != "none", record.family, record.recipe, record.seed)
