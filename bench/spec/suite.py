"""A suite: its tasks, its frozen setting, its recipes, tracks and findings, read from one TOML file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.base.errors import SuiteError, unknown
from bench.base.schema import NAME, Frozen, read_toml, validated
from bench.base.shelf import Shelf
from bench.columns import column
from bench.spec.baseline import Baseline
from bench.spec.data import Shifted, Source
from bench.spec.setting import Setting, Training

_PACKAGE = Path(__file__).parent.parent
# A wheel carries the suites inside the package; in a checkout they are next to it.
SUITES_DIR = next(path for path in (_PACKAGE / "suites", _PACKAGE.parent / "suites") if path.is_dir())
SUITES = Shelf("suite", folder=SUITES_DIR, group="bench.suites")


class Task(Frozen):
    """A data set with its splits, its kind and its official metrics; `bench.plan.check` says whether they fit."""

    name: str = Field(pattern=NAME)
    title: str = ""
    version: int = 1
    kind: str
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = Field(min_length=1)
    data: Source
    train: str = "train"
    evaluate: tuple[str, ...] = Field(("validation",), min_length=1)
    ood: tuple[str, ...] = Field((), description="shifted splits of the task's own data")
    shifted: dict[str, Shifted] = Field({}, description="shifted sets of other data, by name")
    threshold: str | None = Field(
        None, description="split on which a decision threshold is chosen; None chooses it on the split that is scored"
    )
    out_of_scope: str | None = Field(None, description="the label of texts that belong to none of the others")
    pooling: Literal["mean", "cls"] | None = Field(
        None, description="for retrieval, what a text's vector is: the mean over its tokens, or the first token's"
    )
    similarity: Literal["cosine", "dot"] | None = Field(None, description="for retrieval, the score of two vectors")
    trained_on: str | None = Field(None, description="another task of the suite whose model is evaluated here")
    train_examples: int | None = Field(None, ge=1, description="training subsample; None is the full set")
    evaluate_examples: int | None = Field(None, ge=1, description="evaluation subsample; None is the full set")
    max_length: int | None = Field(None, ge=4, le=8192)
    training: dict[str, float | int] = Field(
        {}, description="keys of setting.training that are different for this task"
    )


class Condition(Frozen):
    """A bound on one column that a row must meet to be eligible for a track.

    `at_least_of_reference` is relative: the least share of the value that the row of the reference on the same model
    has.
    """

    column: str
    at_most: float | None = None
    at_least: float | None = None
    at_least_of_reference: float | None = Field(None, gt=0)

    @field_validator("column")
    @classmethod
    def _exists(cls, name: str) -> str:
        return column(name).name

    @model_validator(mode="after")
    def _bounded(self) -> Condition:
        if self.at_most is None and self.at_least is None and self.at_least_of_reference is None:
            raise ValueError("needs at_most, at_least, at_least_of_reference or several of them")
        return self


class Track(Frozen):
    """An eligibility rule plus a ranking rule; a row whose eligibility cannot be decided is left out by name.

    `device` is where models must have been measured. `verified` is False if a bound was not found in a source of the
    benchmark, and `notes` say what stands in for it.
    """

    name: str = Field(pattern=NAME)
    title: str = ""
    where: tuple[Condition, ...] = ()
    device: Literal["cpu", "cuda"] | None = None
    rank: str = "quality"
    verified: bool = True
    notes: tuple[str, ...] = ()

    @field_validator("rank")
    @classmethod
    def _ranks_by_a_directed_column(cls, name: str) -> str:
        if column(name).better is None:
            raise ValueError(f"column '{name}' has no better direction, so it cannot rank")
        return name


def flat(values: dict[str, Any]) -> dict[str, Any]:
    """Arguments with a dotted key per entry of a table; the name of a choice is under the choice's own key."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= {key if inner == "name" else f"{key}.{inner}": part for inner, part in value.items()}
        else:
            found[key] = value
    return found


class Finding(Frozen):
    """A table of what the suite asks: arguments of recipes down and across, a column in the cells (`bench pivot`)."""

    title: str
    rows: tuple[str, ...] = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)
    value: str = "quality"
    where: dict[str, str] = Field({}, description="only records with these arguments, as `bench table` writes them")

    @field_validator("where", mode="before")
    @classmethod
    def _dotted(cls, where: object) -> object:
        return flat(where) if isinstance(where, dict) else where

    @field_validator("value")
    @classmethod
    def _is_a_column(cls, name: str) -> str:
        return column(name).name


class Variants(Frozen):
    """A recipe of the suite; each list in `set` is a grid, expanded into every combination."""

    recipe: str
    set: dict[str, Any] = Field({})


class Suite(Frozen):
    """Tasks, setting, recipes, tracks and findings under one name and version."""

    name: str = Field(pattern=NAME)
    title: str
    version: int = 1
    generated: bool = Field(False, description="True if the data are generated; every page then says so")
    model: str | None = Field(None, description="the default model")
    seeds: tuple[int, ...] = (0,)
    recipes: tuple[str | Variants, ...] = ("none",)
    setting: Setting
    tasks: tuple[Task, ...] = Field(min_length=1)
    tracks: tuple[Track, ...] = ()
    findings: tuple[Finding, ...] = ()
    baseline: Baseline | None = Field(None, description="the curve that ELUE scores are measured from")
    macro_excludes: tuple[str, ...] = Field((), description="tasks that the macro average leaves out")
    task_changes: tuple[str, ...] = Field((), description="keys of tasks that this run changed, as TASK.KEY=VALUE")
    data_dir: str | None = Field(
        None, description="folder of the tasks' files, relative to the suite's file; --data-dir replaces it"
    )

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Suite:
        names = [task.name for task in self.tasks]
        for kind, group in (("task", names), ("track", [track.name for track in self.tracks])):
            twice = {name for name in group if group.count(name) > 1}
            if twice:
                raise ValueError(f"{kind} with the same name: {', '.join(sorted(twice))}")
        for task in self.tasks:
            if task.trained_on is not None and task.trained_on not in names:
                raise ValueError(str(unknown("task", task.trained_on, names, where=f"{task.name}.trained_on")))
        for curve in self.baseline.curves if self.baseline else ():
            if curve.task not in names:
                raise ValueError(str(unknown("task", curve.task, names, where="baseline.curves")))
        return self

    def task(self, name: str, *, where: str | None = None) -> Task:
        """The task called `name`; raises `UnknownNameError` that suggests the nearest name."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise unknown("task", name, [task.name for task in self.tasks], where=where)

    def max_length(self, task: Task) -> int:
        """Tokens an example of `task` may have."""
        return task.max_length or self.setting.max_length

    def training(self, task: Task) -> Training:
        """The setting's training plan with the task's own changes; raises `SuiteError` on a bad key or value."""
        where = f"suite {self.name}: tasks.{task.name}.training"
        return validated(Training, {**self.setting.training.model_dump(), **task.training}, where=where)

    @property
    def setting_id(self) -> str:
        """Eight hex digits that differ whenever two rows may not be compared (setting, changed tasks, version)."""
        return fingerprint([self.name, self.version, self.setting.identified(), sorted(self.task_changes)])


def fingerprint(data: Any, digits: int = 8) -> str:
    """The first hex `digits` of the SHA-256 of `data` as canonical JSON."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def suite_names() -> list[str]:
    """The suites of bench and of installed packages."""
    return SUITES.names()


def load_suite(name: str, *, overrides: Iterable[tuple[str, Any]] = ()) -> Suite:
    """The suite called `name`, or the one in the TOML file at the path `name`.

    Args:
        name: a suite of bench or of an installed package, or a path that ends in `.toml`.
        overrides: dotted keys below `setting`, or below a task's name, with their new values, for example
            `("training.epochs", 1)` or `("sst2.train_examples", 5000)`.

    Returns:
        The suite; its `data_dir` is no longer relative to its file, but to the current folder.

    Raises:
        UnknownNameError: no such suite. SuiteError: the file or an override is not valid. PluginError: see `Shelf`.
    """
    is_path = name.endswith(".toml")
    if not is_path and name not in SUITES.names() and Path(name).exists():
        instead = f"bench init {name}" if Path(name).is_dir() else f"bench run --data {name}"
        raise SuiteError(f"{name} is no suite: a suite's file ends in .toml. For data of your own: `{instead}`.")
    path = Path(name) if is_path else SUITES.path(name)
    data = read_toml(path)
    where = str(path) if is_path else SUITES.shown(path)
    for key, value in overrides:
        _override(data, key, value)
    if isinstance(data.get("data_dir"), str):
        data["data_dir"] = os.path.normpath(path.parent / data["data_dir"])
    return validated(Suite, data, where=where)


def changed(suite: Suite, overrides: Iterable[tuple[str, Any]]) -> Suite:
    """The suite with the `overrides` that `load_suite` takes; raises `SuiteError` for one that is not valid."""
    data = suite.model_dump(exclude_unset=True)
    for key, value in overrides:
        _override(data, key, value)
    return validated(Suite, data, where=f"suite {suite.name}")


def _override(data: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    tasks = {task.get("name"): task for task in data.get("tasks", ())}
    if sections and sections[0] in tasks:
        table = tasks[sections.pop(0)]
        data["task_changes"] = [*data.get("task_changes", ()), f"{key}={value}"]
    else:
        table = data.setdefault("setting", {})
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise SuiteError(f"--set {key}: '{section}' is a key of the setting, not a section")
    table[last] = value
