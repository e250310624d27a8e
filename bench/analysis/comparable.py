"""Whether records may be ranked together, and if not, what differs and what to do about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.base.errors import RecordError
from bench.records.record import Record
from bench.spec.setting import completed_measuring

_RULES = (
    ("suite", "suites", "Read one suite at a time"),
    ("machine_id", "machines", "Choose one with --machine ID, or run everything on one machine"),
    ("setting_id", "settings", "Choose one with --setting ID, or run everything with one setting"),
)
_NAMED = 6  # keys that differ named one by one before the rest is only counted


def comparable(records: Sequence[Record]) -> None:
    """Raise `RecordError` unless all records are of one suite, machine, setting and task version, one per cell."""
    same_conditions(records)
    _one_record_a_cell(records)


def same_conditions(records: Sequence[Record]) -> None:
    """Raise `RecordError` unless all records are of one suite, machine, setting and task version.

    The message names the ids and, from what the records hold, the keys of machine or setting that differ.
    """
    for attribute, kind, advice in _RULES:
        by_id = {str(getattr(record, attribute)): record for record in records}
        if len(by_id) > 1:
            found = sorted(by_id)
            differs = _differences([by_id[name] for name in found], attribute)
            raise RecordError(
                f"the {len(records)} records come from {len(found)} {kind} ({', '.join(found)}), and different {kind} "
                f"are never ranked together. {advice}.{differs}"
            )
    _one_version_a_task(records)
    _one_attack(records)


def differing(parts: Sequence[Mapping[str, Any]], *, between: str = "against") -> list[str]:
    """The keys whose values are not the same in all `parts`, nested keys with dots: "training.epochs: 3 against 2".

    The values are in the order of `parts`, joined by `between`; "not set" is a part without the key.
    """
    flat = [_flat(part) for part in parts]
    keys = sorted({key for part in flat for key in part})
    values = {key: list(dict.fromkeys(_said(part, key) for part in flat)) for key in keys}
    return [f"{key}: {f' {between} '.join(found)}" for key, found in values.items() if len(found) > 1]


def _one_attack(records: Sequence[Record]) -> None:
    """Refuse attacks of different versions or sources; the first version recorded neither.

    Records without an attack fit all.
    """
    found = {
        (int(told.get("version", 1)), ", ".join(sorted(told.get("sources", ()))))
        for told in (record.conditions.get("attack", {}) for record in records if "attack_accuracy" in record.values)
    }
    if len(found) > 1:
        said = "; ".join(f"version {version}{f' with {names}' if names else ''}" for version, names in sorted(found))
        raise RecordError(
            f"the records were attacked in different ways ({said}), so their `attack_*` values cannot be ranked "
            "together. Run the older recipes again, or read the folders one at a time."
        )


def _differences(records: Sequence[Record], attribute: str) -> str:
    """A sentence on what differs between one record of each id, in the order of the ids; empty for suites."""
    if attribute == "suite":
        return ""
    if attribute == "machine_id":
        kind, parts = "Machines", [record.machine for record in records]
    else:
        kind, parts = "Settings", [_completed(record) for record in records]
    found = differing(parts)
    if not found:
        return f" The records do not show how the {kind.lower()} differ."
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f" The {kind.lower()} differ in {'; '.join(found[:_NAMED])}{more}."


def _completed(record: Record) -> dict[str, Any]:
    """The setting of a record with what later versions state besides, and the version of its suite."""
    measuring = completed_measuring(record.setting.get("measuring", {}))
    return {**record.setting, "measuring": measuring, "suite_version": record.suite_version}


def _flat(part: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in part.items():
        flat.update(_flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value})
    return flat


def _said(part: Mapping[str, Any], key: str) -> str:
    if key not in part:
        return "not set"
    value = part[key]
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


def _one_version_a_task(records: Sequence[Record]) -> None:
    versions: dict[str, set[int]] = defaultdict(set)
    for record in records:
        versions[record.task].add(record.task_version)
    for task, found in versions.items():
        if len(found) > 1:
            raise RecordError(
                f"task {task}: the records are of versions {', '.join(map(str, sorted(found)))}, which are never "
                f"ranked together. Move the older records out of the results folder."
            )


def _one_record_a_cell(records: Sequence[Record]) -> None:
    keys: dict[tuple[str, str, str, int], Record] = {}
    for record in records:
        cell = (record.task, record.model, record.recipe, record.seed)
        if cell in keys:
            raise RecordError(
                f"two records ({keys[cell].key}, {record.key}) of task {record.task}, model {record.model}, recipe "
                f"{record.recipe}, seed {record.seed}: {_changed(keys[cell], record)}. Move the outdated one out of "
                f"the results folder."
            )
        keys[cell] = record


def _changed(first: Record, second: Record) -> str:
    """How two records of one cell differ in the inputs that a key depends on."""
    found = differing([_made_from(first), _made_from(second)])
    if not found:
        return "the records do not show how their inputs differ"
    return f"their inputs differ in {'; '.join(found[:_NAMED])}"


def _made_from(record: Record) -> dict[str, Any]:
    versions = record.provenance.get("versions", {})
    parts = {name: record.provenance.get(name, {}).get("fingerprint", "not stated") for name in ("data", "model")}
    return {
        **{name: str(content)[:12] for name, content in parts.items()},
        **{name: versions[name] for name in ("torch", "transformers") if name in versions},
        "stages": [f"{stage.method} {stage.arguments}" for stage in record.stages],
    }
