"""Whether records may be ranked together, and what to do where they may not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.errors import RecordError
from bench.record import Record

_RULES = (
    ("suite", "suites", "read one suite at a time"),
    ("machine_id", "machines", "narrow them with --machine ID, or run all of them on one machine"),
    ("setting_id", "settings", "narrow them with --setting ID, or run all of them under one setting"),
)


def comparable(records: Sequence[Record]) -> None:
    """Raise `RecordError` unless all records are of one suite, machine, setting and task version, one a cell."""
    for attribute, kind, advice in _RULES:
        found = sorted({str(getattr(record, attribute)) for record in records})
        if len(found) > 1:
            raise RecordError(
                f"these {len(records)} records come from {len(found)} {kind} ({', '.join(found)}), and rows of "
                f"different {kind} are never ranked together: {advice}."
            )
    _one_version_a_task(records)
    _one_record_a_cell(records)


def _one_version_a_task(records: Sequence[Record]) -> None:
    versions: dict[str, set[int]] = defaultdict(set)
    for record in records:
        versions[record.task].add(record.task_version)
    for task, found in versions.items():
        if len(found) > 1:
            raise RecordError(
                f"task {task}: records of its versions {', '.join(map(str, sorted(found)))}, which are never ranked "
                f"together: move the older ones out of the results folder."
            )


def _one_record_a_cell(records: Sequence[Record]) -> None:
    keys: dict[tuple[str, str, str, int], str] = {}
    for record in records:
        cell = (record.task, record.model, record.recipe, record.seed)
        if cell in keys:
            raise RecordError(
                f"two records ({keys[cell]}, {record.key}) of task {record.task}, model {record.model}, recipe "
                f"{record.recipe}, seed {record.seed}: the model, the data or the recipe changed in between. Move the "
                f"outdated one out of the results folder."
            )
        keys[cell] = record.key
