"""A suite: its tasks, its frozen setting, its recipes and its tracks, read from one TOML file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from bench.columns import column
from bench.errors import SuiteError, unknown
from bench.schema import Frozen, read_toml, validated

SUITES_DIR = Path(__file__).parent / "suites"
NAME = r"^[a-z0-9][a-z0-9._-]*$"


class Training(Frozen):
    """The budget and schedule that every training run of the suite has unless a task narrows it."""

    epochs: float = Field(3.0, gt=0, le=1000)
    batch_size: int = Field(32, ge=1, le=65536)
    learning_rate: float = Field(5e-5, gt=0, le=1)
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with rising learning rate")
    weight_decay: float = Field(0.01, ge=0, le=1)
    clip: float = Field(1.0, gt=0, description="largest gradient norm")


class Measuring(Frozen):
    """The conditions under which every artifact of the suite is measured."""

    threads: int = Field(2, ge=1, le=1024)
    batch_size: int = Field(1, ge=1, le=4096, description="examples a call in the latency columns")
    length: int = Field(128, ge=4, le=8192, description="tokens an example in latency, MACs and memory")
    throughput_batch: int = Field(32, ge=1, le=4096)
    pairs: int = Field(70, ge=5, le=100000, description="least number of interleaved pairs")
    seconds: float = Field(2.0, gt=0, description="least duration of the interleaved pairs")
    patience_seconds: float = Field(20.0, gt=0, description="most seconds of pairs while the machine does not settle")
    sweep_lengths: tuple[int, ...] = Field((), description="further lengths to time, at the latency batch")
    sweep_batches: tuple[int, ...] = Field((), description="further batch sizes to time, at the latency length")
    sweep_seconds: float = Field(0.5, gt=0, description="least duration of each point of the sweep, throughput's too")
    energy_seconds: float = Field(10.0, gt=0, description="length of all energy windows of one model together")
    energy_windows: int = Field(3, ge=1, le=1000, description="most windows; fewer where each would lack ten samples")
    energy_sample_s: float = Field(1.0, gt=0, description="seconds between two samples of the energy meter")
    idle_seconds: float | None = Field(None, gt=0, description="length of the idle window; None is that of one window")
    country: str = Field(min_length=3, max_length=3, description="ISO 3166 alpha-3 code whose grid is assumed")
    pue: float = Field(1.0, ge=1, le=10, description="site energy by computer energy; in emissions and water only")
    wue_l_per_kwh: float | None = Field(None, ge=0, description="litres of water by kWh that the site draws")
    hardware_power_w: float | None = Field(None, gt=0, description="TDP of what the models run on, for Lacoste's sum")
    carbon_offset: float = Field(0.0, ge=0, le=1, description="share of the emissions that is offset, likewise")
    attack_examples: int = Field(50, ge=1)
    attack_queries: int = Field(200, ge=0, description="query budget an attacked example")
    train_examples: int = Field(500, ge=1, description="training examples on which fidelity is measured")
    budgets_s: dict[str, float] = Field({}, description="seconds by measure in place of the measure's own budget")
    skip: tuple[str, ...] = Field((), description="measures that are left out; their columns are absent and say so")

    @field_validator("skip")
    @classmethod
    def _may_be_skipped(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from bench.measures.measure import MEASURES

        for name in names:
            if not MEASURES.get(name).optional:
                may = ", ".join(other for other, measure in MEASURES.items() if measure.optional)
                raise ValueError(f"measure '{name}' belongs to every record; those that may be skipped: {may}")
        return names


class Setting(Frozen):
    """Everything frozen across the rows that may be compared."""

    max_length: int = Field(128, ge=4, le=8192, description="tokens an example in training and evaluation")
    evaluation_tokens: int = Field(8192, ge=16, description="padded tokens a batch when evaluating")
    training: Training = Training()
    measuring: Measuring


class Source(Frozen):
    """Where a task's data come from: a registered source and the name of the subset in it."""

    source: str
    subset: str
    seed: int = 0


class Task(Frozen):
    """A data set with its splits, its kind and its official metrics."""

    name: str = Field(pattern=NAME)
    title: str = ""
    version: int = 1
    kind: str
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = Field(min_length=1)
    data: Source
    train: str = "train"
    evaluate: tuple[str, ...] = Field(("validation",), min_length=1)
    ood: tuple[str, ...] = ()
    trained_on: str | None = Field(None, description="another task of the suite whose model is evaluated here")
    train_examples: int | None = Field(None, ge=1, description="training subsample; None is the full set")
    evaluate_examples: int | None = Field(None, ge=1, description="evaluation subsample; None is the full set")
    max_length: int | None = Field(None, ge=4, le=8192)
    training: dict[str, float | int] = Field({}, description="keys of setting.training that this task changes")

    @field_validator("metrics")
    @classmethod
    def _metrics_are_columns(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for metric in metrics:
            column(metric)
        return metrics

    @model_validator(mode="after")
    def _labels_fit_the_kind(self) -> Task:
        if self.kind == "classification" and len(self.labels) < 2:
            raise ValueError("a classification task needs at least two labels")
        if self.kind != "classification" and self.labels:
            raise ValueError(f"a {self.kind} task has no labels")
        return self


class Condition(Frozen):
    """A bound on one column that a row must meet to be eligible for a track."""

    column: str
    at_most: float | None = None
    at_least: float | None = None

    @field_validator("column")
    @classmethod
    def _exists(cls, name: str) -> str:
        return column(name).name

    @model_validator(mode="after")
    def _bounded(self) -> Condition:
        if self.at_most is None and self.at_least is None:
            raise ValueError("give at_most, at_least or both")
        return self


class Track(Frozen):
    """An eligibility rule plus a ranking rule; a row whose eligibility cannot be decided is left out by name."""

    name: str = Field(pattern=NAME)
    title: str = ""
    where: tuple[Condition, ...] = ()
    rank: str = "quality"

    @field_validator("rank")
    @classmethod
    def _ranks_by_a_directed_column(cls, name: str) -> str:
        if column(name).better is None:
            raise ValueError(f"column '{name}' has no better direction, so it cannot rank")
        return name


class Choice(Frozen):
    """A recipe of the suite; each list in `set` is a grid, expanded into every combination."""

    recipe: str
    set: dict[str, Any] = Field({})


class Suite(Frozen):
    """Tasks, setting, recipes and tracks under one name and version."""

    name: str = Field(pattern=NAME)
    title: str
    version: int = 1
    generated: bool = Field(False, description="True where the data are generated, which every page then says")
    model: str | None = Field(None, description="the default model")
    seeds: tuple[int, ...] = (0,)
    recipes: tuple[str | Choice, ...] = ("none",)
    setting: Setting
    tasks: tuple[Task, ...] = Field(min_length=1)
    tracks: tuple[Track, ...] = ()
    macro_excludes: tuple[str, ...] = Field((), description="tasks that the macro average leaves out")
    task_changes: tuple[str, ...] = Field((), description="keys of tasks that this run changed, as TASK.KEY=VALUE")

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Suite:
        names = [task.name for task in self.tasks]
        for kind, group in (("task", names), ("track", [track.name for track in self.tracks])):
            twice = {name for name in group if group.count(name) > 1}
            if twice:
                raise ValueError(f"{kind} named twice: {', '.join(sorted(twice))}")
        for task in self.tasks:
            if task.trained_on is not None and task.trained_on not in names:
                raise ValueError(str(unknown("task", task.trained_on, names, where=f"{task.name}.trained_on")))
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
        """Eight hex digits that differ whenever two rows may not be compared (setting, changed tasks, version).

        Skipped measures change no number that is there, so they are not in it.
        """
        setting = self.setting.model_dump(exclude={"measuring": {"skip"}})
        return fingerprint([self.name, self.version, setting, sorted(self.task_changes)])


def fingerprint(data: Any, digits: int = 8) -> str:
    """The first hex `digits` of the SHA-256 of `data` as canonical JSON."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def suite_names() -> list[str]:
    """The suites that travel with the package."""
    return sorted(path.stem for path in SUITES_DIR.glob("*.toml"))


def load_suite(name: str, *, overrides: Iterable[tuple[str, Any]] = ()) -> Suite:
    """The suite called `name`, or the one in the TOML file at the path `name`.

    Args:
        name: a suite of the package, or a path that ends in `.toml`.
        overrides: dotted keys below `setting`, or below a task's name, with their new values, for example
            `("training.epochs", 1)` or `("sst2.train_examples", 5000)`.

    Raises:
        UnknownNameError: no such suite. SuiteError: the file or an override is not valid.
    """
    if name.endswith(".toml"):
        path = Path(name)
    elif name in suite_names():
        path = SUITES_DIR / f"{name}.toml"
    else:
        raise unknown("suite", name, suite_names())
    data = read_toml(path)
    where = str(path) if name.endswith(".toml") else f"suites/{path.name}"
    for key, value in overrides:
        _override(data, key, value)
    return validated(Suite, data, where=where)


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
            raise SuiteError(f"--set {key}: '{section}' is a value, not a section of the setting")
    table[last] = value
