"""From what a measuring child found to the record of the cell, or from what went wrong to its failure note."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import cache
from typing import Any

from bench.base.stopwatch import Spans
from bench.engine.jobs import Measured
from bench.engine.processes import Ending
from bench.plan.cell import Cell
from bench.plan.recorded import made_from
from bench.plan.steps import Phase
from bench.records.machine import machine_id, source_commit, versions
from bench.records.record import Failure, Flag, Record


def record_of(
    cell: Cell,
    result: Measured,
    *,
    machine: dict[str, Any],
    spans: Spans,
    other_s: float,
    tables: dict[str, dict[str, Any]],
) -> Record:
    """The cell's record from the measuring child's `result`.

    `spans` are the seconds by activity of all its children, `other_s` the rest of their time, and `tables` the files
    written beside it, from `write_tables`.
    """
    suite, readings = cell.suite, result.readings
    warned = [*(cell.fit.warnings if cell.fit else ()), *(each for part in readings.values() for each in part.warnings)]
    return Record(
        key=cell.key,
        suite=suite.name,
        suite_version=suite.version,
        generated=suite.generated or result.provenance.data.generated,
        task=cell.task.name,
        task_version=cell.task.version,
        task_kind=cell.task.kind,
        model=cell.model_name,
        recipe=cell.recipe.name,
        recipe_base=cell.recipe.base,
        family=cell.recipe.file.family,
        seed=cell.seed,
        stages=result.stages,
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
        provenance={
            **result.provenance.stored(),
            "made_from": made_from(cell),
            "tables": tables,
            **_program(),
        },
        spans_s={**spans._asdict(), "other": other_s},
    )


def failure_of(cell: Cell, phase: Phase, ending: Ending) -> Failure:
    """The note on a cell that could not be finished because `ending` ended its `phase`."""
    return Failure(
        key=cell.key,
        suite=cell.suite.name,
        task=cell.task.name,
        model=cell.model_name,
        model_fingerprint=cell.model_fingerprint,
        data_fingerprint=cell.data_fingerprint,
        recipe=cell.recipe.name,
        seed=cell.seed,
        setting_id=cell.suite.setting_id,
        created=_now(),
        phase=phase,
        cause=ending.cause or "",
        interrupted=ending.interrupted,
        detail=ending.detail,
    )


@cache
def _program() -> dict[str, Any]:
    """What made the records of this process: versions and the commit of what was imported."""
    return {"versions": versions(), "source": source_commit()}


def _merged(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    return merged


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
