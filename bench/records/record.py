"""The record of one cell: its schema, its history, and reading and writing it without ever losing one."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.base.errors import RecordError
from bench.columns import COLUMNS
from bench.records.arguments import nested, renamed, rephrased, termed
from bench.spec.saving import Real, Stated

SCHEMA_VERSION = 4
HISTORY = {
    1: "first version",
    2: "stages say what they are meant to save and what they really did",
    3: "a choice of a stage is a table with its own arguments, and the recipe's name says to which choice one belongs",
    4: "what a stage trained towards is a table of terms, and a distilled student is a choice",
}
_ADVICE = "Move it out of the results folder and run its cell again with `bench run`."

# Neither a text that looks like a number nor a truth value is one.
Number = Annotated[float, Field(strict=True)] | Annotated[int, Field(strict=True)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class Flag(_Data):
    """A coded warning: `code` for programs, `says` for people (what happened, what to do)."""

    code: str
    says: str


class StageLog(_Data):
    """What one stage of the recipe did, what it cost, and what it is meant to save and really saved."""

    method: str
    arguments: dict[str, Any]
    seconds: float
    cpu_s: float | None = Field(None, description="processor seconds; None for artifacts older than this field")
    cached: bool = Field(False, description="reused from an earlier artifact with the same first stages")
    counts: dict[str, int] = Field({}, description="what it used besides the task's data, such as augmented texts")
    notes: tuple[str, ...] = Field((), description="where that came from, and what it is, in words")
    claimed: Stated | None = None
    real: Real | None = None
    unaudited: str | None = Field(
        "made before stages were audited", description="why `claimed` and `real` are absent; None if they are not"
    )


class Record(_Data):
    """Everything known about one cell; columns are in `values` or, with a reason, in `absent`."""

    schema_version: int = SCHEMA_VERSION
    key: str
    suite: str
    suite_version: int
    generated: bool
    task: str
    task_version: int
    task_kind: str
    model: str
    recipe: str
    recipe_base: str
    family: str
    seed: int
    stages: tuple[StageLog, ...]
    setting: dict[str, Any]
    setting_id: str
    machine: dict[str, Any]
    machine_id: str
    created: str
    values: dict[str, Number]
    reference: dict[str, Number]
    absent: dict[str, str]
    samples: dict[str, list[Annotated[float, Field(strict=True)]]]
    conditions: dict[str, dict[str, Any]]
    warnings: tuple[Flag, ...]
    provenance: dict[str, Any] = Field(description="hashes, revisions, versions, commit and data notes")
    spans_s: dict[str, float] = Field(
        description="seconds by activity of the child processes first started for this cell"
    )


class Failure(_Data):
    """A cell that could not be finished, and why."""

    schema_version: int = SCHEMA_VERSION
    key: str
    suite: str
    task: str
    model: str
    model_fingerprint: str | None = Field(None, description="None in notes of before it was kept")
    data_fingerprint: str | None = Field(None, description="None in notes of before it was kept")
    recipe: str
    seed: int
    setting_id: str
    created: str
    phase: str
    cause: str
    interrupted: bool = Field(description="True if the process was killed, not if it failed by itself")
    detail: str = ""


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step: after a crash either the whole file is there or nothing.

    Raises `RecordError` if the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            os.chmod(scratch, 0o644)  # mkstemp lets nobody else read
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(scratch, path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror or error}. Choose another folder.") from error


def write_record(path: Path, record: Record) -> None:
    """Write a record once.

    Raises `RecordError` if a record exists already, which is never overwritten, and if a number is not finite.
    """
    if path.exists():
        raise RecordError(f"{path}: this record already exists, and records are never changed")
    place = not_finite(record.model_dump(mode="python"))
    if place is not None:
        raise RecordError(f"{path}: {place} is not a finite number, so the record was not written")
    write_text(path, json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_record(path: Path) -> Record:
    """The record at `path`; raises `RecordError` if it is damaged or of a newer schema.

    A record is also damaged if a number is not finite, which Python's JSON reader accepts, or if a value is below the
    minimum of its column.
    """
    data = _object(path)
    version = data.get("schema_version")
    if not isinstance(version, int) or version < 1:
        raise RecordError(f"{path}: not a record: no schema_version. {_ADVICE}")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{path}: schema version {version} is newer than version {SCHEMA_VERSION} of this bench. Update bench to "
            "read it."
        )
    place = not_finite(data)
    if place is not None:
        raise RecordError(f"{path}: not a valid record: {place} is not a finite number. {_ADVICE}")
    try:
        record = _migrated(Record.model_validate(data), version)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        found = f" (found {first['input']!r})" if isinstance(first["input"], str | int | float) else ""
        raise RecordError(f"{path}: not a valid record: {key}: {first['msg']}{found}. {_ADVICE}") from error
    _check_ranges(path, record)
    return record


def read_failure(path: Path) -> Failure:
    """The failure at `path`; raises `RecordError` if it is damaged."""
    try:
        return Failure.model_validate(_object(path))
    except ValidationError as error:
        raise RecordError(f"{path}: not a valid failure note: {error.errors()[0]['msg']}. Delete it.") from error


def read_records(results: Path, suite: str | None = None) -> list[Record]:
    """Every record below `results`, of one suite or of all suites, in the order of their paths."""
    root = results / suite if suite else results
    paths = sorted(path for path in root.glob("**/*.json") if not path.name.endswith(".failed.json"))
    return [read_record(path) for path in paths if not path.name.startswith(".")]


def _migrated(record: Record, version: int) -> Record:
    """A record of an older version as this version's.

    From 1 to 2 nothing changes: stages without an audit say so by the default of `unaudited`. For 3 and 4 see
    `bench.records.arguments`.
    """
    if version == SCHEMA_VERSION:
        return record
    stages, recipe = [(stage.method, stage.arguments) for stage in record.stages], record.recipe
    if version < 3:
        recipe = renamed(recipe, stages)
        stages = [(method, nested(method, arguments)) for method, arguments in stages]
    recipe = rephrased(recipe, stages)
    logs = [
        log.model_copy(update={"arguments": termed(method, arguments)})
        for log, (method, arguments) in zip(record.stages, stages, strict=True)
    ]
    return record.model_copy(update={"schema_version": SCHEMA_VERSION, "stages": tuple(logs), "recipe": recipe})


def _object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"{path}: not valid JSON: {error}. {_ADVICE}") from error
    if not isinstance(data, dict):
        raise RecordError(f"{path}: not a record: expected a JSON object. {_ADVICE}")
    return data


def not_finite(data: Any) -> str | None:
    """The place of the first number in `data` that is not finite, as "samples.pairs[3]: nan"; None if there is none."""
    place = _not_finite(data)
    return None if place is None else place.lstrip(".")


def _not_finite(data: Any) -> str | None:
    if isinstance(data, float):
        return None if math.isfinite(data) else f": {data}"
    if isinstance(data, Mapping):
        parts: Iterable[tuple[str, Any]] = ((f".{key}", value) for key, value in data.items())
    elif isinstance(data, list | tuple):
        parts = ((f"[{index}]", value) for index, value in enumerate(data))
    else:
        return None
    return next((name + place for name, value in parts if (place := _not_finite(value)) is not None), None)


def _check_ranges(path: Path, record: Record) -> None:
    """Raise `RecordError` for a value below the minimum of its column."""
    for part in ("values", "reference"):
        for name, value in getattr(record, part).items():
            least = COLUMNS[name].least if name in COLUMNS else None
            if least is not None and value < least:
                raise RecordError(
                    f"{path}: not a valid record: {part}.{name}: {value:.6g} is below {least:g}, the column's minimum. "
                    f"{_ADVICE}"
                )
