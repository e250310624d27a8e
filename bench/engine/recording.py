"""From what a measuring child found to the record of the cell, or from what went wrong to its failure note."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from bench.engine.processes import Outcome
from bench.plan.cell import Cell
from bench.plan.steps import Phase
from bench.records.machine import machine_id, source_commit, versions
from bench.records.record import Failure, Flag, Record, StageLog


def record_of(
    cell: Cell,
    result: dict[str, Any],
    *,
    machine: dict[str, Any],
    spans: Sequence[dict[str, float]],
    tables: dict[str, dict[str, Any]],
) -> Record:
    """The cell's record from the measuring child's `result`.

    `spans` are the seconds by activity of all its children; `tables` the files written beside it, from `write_tables`.
    """
    suite, readings, provenance = cell.suite, result["readings"], result["provenance"]
    warned = [*(cell.fit.warnings if cell.fit else ()), *(each for part in readings.values() for each in part.warnings)]
    return Record(
        key=cell.key,
        suite=suite.name,
        suite_version=suite.version,
        generated=suite.generated or provenance["data"]["generated"],
        task=cell.task.name,
        task_version=cell.task.version,
        task_kind=cell.task.kind,
        model=cell.model_name,
        recipe=cell.recipe.name,
        recipe_base=cell.recipe.base,
        family=cell.recipe.file.family,
        seed=cell.seed,
        stages=tuple(StageLog.model_validate(stage) for stage in result["stages"]),
        setting={**suite.setting.model_dump(), "task_changes": suite.task_changes},
        setting_id=suite.setting_id,
        machine=machine,
        machine_id=machine_id(machine),
        created=_now(),
        values=_merged(reading.values for reading in readings.values()),
        reference=_merged(reading.reference for reading in readings.values()),
        absent=_merged(reading.absent for reading in readings.values()),
        samples=_merged(reading.samples for reading in readings.values()),
        conditions={
            **{name: reading.conditions for name, reading in readings.items()},
            **({"fit": cell.fit.conditions} if cell.fit else {}),
        },
        warnings=tuple(Flag(code=code, says=says) for code, says in warned),
        provenance={**provenance, "tables": tables, "versions": versions(), "source": source_commit()},
        spans_s={key: sum(span[key] for span in spans) for key in ("training", "evaluating", "measuring", "other")},
    )


def failure_of(cell: Cell, phase: Phase, outcome: Outcome) -> Failure:
    """The note on a cell that could not be finished because `outcome` ended its `phase`."""
    return Failure(
        key=cell.key,
        suite=cell.suite.name,
        task=cell.task.name,
        model=cell.model_name,
        model_fingerprint=cell.model_fingerprint,
        recipe=cell.recipe.name,
        seed=cell.seed,
        setting_id=cell.suite.setting_id,
        created=_now(),
        phase=phase,
        cause=outcome.cause or "",
        interrupted=outcome.interrupted,
        detail=outcome.detail,
    )


def _merged(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    return merged


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
