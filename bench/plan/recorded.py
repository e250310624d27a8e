"""Which records are those of which cells: decided by what the record says was done, not by a key.

A key may be computed in another way one day; what was done stays what it was. Parts that older records do not state
are named where they are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.base.errors import UnknownNameError
from bench.methods.base.method import METHODS
from bench.plan.cell import MEASURED_BY, PROCEDURE, Cell, described
from bench.records.record import Failure, Record, read_failure, read_record
from bench.spec.setting import Training

# The first numbers of `PROCEDURE` and `MEASURED_BY` whose results are the present ones. Numbers of records that state
# none were these: 3 added several processes to 2, and how many there were is in the setting.
SAME_PROCEDURE = 1
SAME_MEASURED_BY = 2
_FAILED = ".failed.json"
_LIBRARIES = ("torch", "transformers")


def made_from(cell: Cell) -> dict[str, Any]:
    """What a record states besides its other parts, so that its cell can be told: `provenance.made_from`."""
    return {
        "procedure": PROCEDURE,
        "measured_by": MEASURED_BY,
        "task": described(cell.task),
        "training_data": cell.training_fingerprint,
        "elsewhere": cell.elsewhere,
        **({"given": cell.given_artifact} if cell.given_artifact is not None else {}),
    }


class Recorded:
    """The records and failure notes in the folder of a suite and a machine, by the cells that they are of.

    A file that has the name of a cell is its own. Others, which older programs named, are looked into.
    """

    def __init__(self, folder: Path, cells: Iterable[Cell]) -> None:
        self._folder = folder
        self._names = {cell.slug for cell in cells}

    def record(self, cell: Cell) -> Path:
        """The cell's record, whether written or not."""
        path = self._folder / f"{cell.slug}.json"
        if path.exists():
            return path
        machine_id = self._folder.name
        found = (old for old, each in self._records.items() if is_recorded(cell, each, machine_id=machine_id))
        return next(found, path)

    def failure(self, cell: Cell) -> Path:
        """The note on why the cell failed, whether written or not."""
        path = self._folder / f"{cell.slug}{_FAILED}"
        if path.exists():
            return path
        return next((old for old, each in self._notes.items() if is_noted(cell, each)), path)

    @cached_property
    def _records(self) -> dict[Path, Record]:
        return {path: read_record(path) for path in self._others if not path.name.endswith(_FAILED)}

    @cached_property
    def _notes(self) -> dict[Path, Failure]:
        return {path: read_failure(path) for path in self._others if path.name.endswith(_FAILED)}

    @cached_property
    def _others(self) -> list[Path]:
        """Files of the cells' tasks and models that have the name of none of the cells."""
        begun = {tuple(name.split("--")[:2]) for name in self._names}
        paths = [path for path in sorted(self._folder.glob("*--*.json")) if tuple(path.name.split("--")[:2]) in begun]
        return [path for path in paths if path.name.removesuffix(".json").removesuffix(".failed") not in self._names]


def is_recorded(cell: Cell, record: Record, *, machine_id: str) -> bool:
    """Whether `record` is what a run of `cell` on this machine would give but for chance."""
    stated = record.provenance.get("made_from", {})
    numbers = stated.get("procedure", SAME_PROCEDURE), stated.get("measured_by", SAME_MEASURED_BY)
    return (
        (record.task, record.recipe, record.seed) == (cell.task.name, cell.recipe.name, cell.seed)
        and SAME_PROCEDURE <= numbers[0] <= PROCEDURE
        and SAME_MEASURED_BY <= numbers[1] <= MEASURED_BY
        and record.machine_id == machine_id
        and _said(record, cell) == _wanted(cell)
        and _stages(record) == cell.stated_stages
    )


def is_noted(cell: Cell, note: Failure) -> bool:
    """Whether `note` says that `cell` failed; older notes say nothing of the model's content and the data's."""
    return (
        (note.task, note.recipe, note.seed) == (cell.task.name, cell.recipe.name, cell.seed)
        and (note.suite, note.setting_id, note.model) == (cell.suite.name, cell.suite.setting_id, cell.model_name)
        and note.model_fingerprint in (None, cell.model_fingerprint)
        and note.data_fingerprint in (None, cell.data_fingerprint)
    )


def _wanted(cell: Cell) -> dict[str, Any]:
    held = cell.held
    return {
        "suite": (cell.suite.name, cell.suite.setting_id, sorted(cell.suite.setting.measuring.skip)),
        "task": (cell.task.name, cell.task.version, cell.task.kind, described(cell.task)),
        "data": (cell.data_fingerprint, cell.training_fingerprint, cell.elsewhere),
        "model": (cell.model_name, cell.model_fingerprint, list(cell.conditions.outputs)),
        "head": (list(held.order), held.set_aside, held.widened_bytes) if held else ([], False, 0),
        "segments": cell.fit is not None and cell.fit.segments == "added",
        "training": None if cell.as_is else cell.suite.training(cell.train_task),
        "recipe": (cell.recipe.name, cell.seed, cell.conditions.device),
        "versions": [version(name) for name in _LIBRARIES],
        "given": cell.given_artifact,
    }


def _said(record: Record, cell: Cell) -> dict[str, Any]:
    """What the record says of each part of `_wanted`; of an older one what is sure of it.

    Older records state the task by name, version and kind; the data of the task alone, which is what its model was
    trained on unless that is another task's; and none of the data of other tasks that a recipe used.
    """
    stated, model = record.provenance.get("made_from", {}), record.provenance["model"]
    held = model.get("held") or {}
    trained_on = cell.training_fingerprint if cell.train_task == cell.task else None
    training = record.provenance["reference"]["training"]
    skipped = record.setting.get("measuring", {}).get("skip", ())
    task = stated.get("task", described(cell.task))
    return {
        "suite": (record.suite, record.setting_id, sorted(skipped)),
        "task": (record.task, record.task_version, record.task_kind, task),
        "data": (
            record.provenance["data"]["fingerprint"],
            stated.get("training_data", trained_on),
            stated.get("elsewhere", {}),
        ),
        "model": (record.model, model["fingerprint"], list(model.get("outputs", ()))),
        "head": (list(held.get("order", ())), held.get("set_aside", False), held.get("widened_bytes", 0)),
        "segments": record.conditions.get("fit", {}).get("segment_ids") == "added",
        "training": Training.model_validate(
            {name: training[name] for name in Training.model_fields if name in training}
        )
        if training
        else None,
        "recipe": (record.recipe, record.seed, record.machine["device"]),
        "versions": [record.provenance["versions"].get(name) for name in _LIBRARIES],
        "given": stated.get("given"),
    }


def _stages(record: Record) -> list[tuple[str, dict[str, Any]]] | None:
    """Each stage's method and its arguments that differ from the defaults; None if the method has become another."""
    try:
        return [
            (each.method, METHODS.get(each.method).model_validate(each.arguments).stated()) for each in record.stages
        ]
    except (UnknownNameError, ValidationError):
        return None
