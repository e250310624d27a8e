"""A cell: one task x model x recipe x seed of a suite, with the keys under which its parts are filed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from bench.artifacts.source import open_folder, open_source
from bench.artifacts.store import EntryKind
from bench.base.errors import ModelError, SuiteError
from bench.models.source import ModelSource
from bench.models.stored import Held
from bench.plan.as_is import built_as_is, refuse_training
from bench.plan.check import check_suite
from bench.plan.fit import Fit, examine
from bench.plan.given import GivenSystem
from bench.plan.recipes import check_possible, methods_of
from bench.plan.settle import with_labels
from bench.spec.recipe import Recipe
from bench.spec.suite import Suite, Task, fingerprint
from bench.tasks.data import load_data
from bench.tasks.examples import TaskData
from bench.tasks.kinds.kind import KINDS
from bench.tasks.sources.suspicions import refuse_one_class

T = TypeVar("T")

# Raised whenever the same inputs would give another reference or artifact. 2 gives what 1 gave, filed under other keys.
PROCEDURE = 2
LONGEST = 220  # characters of a file's name without its ending; file systems take 255 bytes with it
NAME = r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,99}"  # of a model, as the user gives it
MEASURED_BY = 3  # raised whenever the same artifact would give other numbers


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a run is given besides suite, tasks, models and recipes.

    `outputs` are what the user calls the outputs of the model's head, see `ModelSource`; none leave it to the model.
    `as_is` uses the model's own trained head as the reference, without training; recipes may still train.
    """

    device: str = "cpu"
    data_dir: Path | None = None
    outputs: tuple[str, ...] = ()
    as_is: bool = False


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The unit of work, of resuming and of distribution.

    `task` is evaluated; `train_task` is the one the model was trained on (another one only for diagnostic sets).
    `stage_keys` file the artifact after each stage, so that recipes with the same beginning share it. `elsewhere` says
    by name what other tasks are made from whose training data the recipe uses, and by path what is in the folders of
    other models that it uses. Keys are made of what differs from the defaults, so an argument or a field that is added
    later changes none. `given_name` is the model's name in
    records if the user gave one, `fit` what was found of model and texts before the run. `held` is what the model's
    files hold, None for a built-in model. `data_entry` and `train_data_entry` are where the store may have the data.
    `given_artifact` is the store's key of an artifact that the user gave; None if the recipe makes it. `system` says
    what it was.
    """

    suite: Suite
    task: Task
    train_task: Task
    model: str
    recipe: Recipe
    seed: int
    conditions: Conditions
    data_fingerprint: str
    training_fingerprint: str
    model_fingerprint: str
    reference_key: str
    elsewhere: dict[str, str] = field(default_factory=dict)
    given_name: str | None = None
    fit: Fit | None = None
    held: Held | None = None
    data_entry: str = ""
    train_data_entry: str = ""
    given_artifact: str | None = None
    system: GivenSystem | None = None

    @property
    def closed(self) -> bool:
        """Whether the artifact is a function, of which nothing but its answers can be measured."""
        return self.system is not None and self.system.function is not None

    @property
    def model_name(self) -> str:
        """The model as a record names it; see `model_name`."""
        return model_name(self.model, self.given_name)

    @cached_property
    def stated_stages(self) -> list[tuple[str, dict[str, Any]]]:
        """Each stage's method and its arguments that differ from the defaults."""
        methods = methods_of(self.recipe)
        return [(stage.method, method.stated()) for stage, method in zip(self.recipe.stages, methods, strict=True)]

    @cached_property
    def stage_keys(self) -> tuple[str, ...]:
        """One key per stage, each of everything that led to it."""
        keys, last = [], self.reference_key
        for stage, method in zip(self.recipe.stages, methods_of(self.recipe), strict=True):
            more: list[Any] = [self.elsewhere[name] for name in (*method.tasks(), *method.folders())]
            if method.scores():
                more.append(self.train_task.metrics)
            last = fingerprint([last, stage.method, method.stated(), *more], 16)
            keys.append(last)
        return tuple(keys)

    @property
    def as_is(self) -> bool:
        """Whether the reference is the model as it is, without training."""
        return used_as_is(self.suite, self.train_task, self.conditions)

    @property
    def reference_place(self) -> tuple[EntryKind, str]:
        """Where the store keeps the reference."""
        return "references", self.reference_key

    @property
    def artifact_place(self) -> tuple[EntryKind, str]:
        """Where the store keeps what is measured: for a recipe without stages, the reference itself."""
        if self.given_artifact is not None:
            return "artifacts", self.given_artifact
        return ("artifacts", self.stage_keys[-1]) if self.recipe.stages else self.reference_place

    def beginning(self, count: int) -> Cell:
        """The cell with the first `count` stages of its recipe only, for a child to file what they make."""
        name = f"{self.recipe.name}, {count} of {len(self.recipe.stages)} stages"
        recipe = self.recipe.model_copy(update={"name": name, "stages": self.recipe.stages[:count]})
        return replace(self, recipe=recipe)

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits of all that the record depends on."""
        parts = [MEASURED_BY, self.suite.setting_id, described(self.task), self.data_fingerprint, self.reference_key]
        more: list[Any] = [sorted(self.elsewhere.items())] if self.elsewhere else []
        if self.suite.setting.measuring.skip:
            more.append(sorted(self.suite.setting.measuring.skip))
        if self.held is not None and self.held.widened_bytes:  # `compression` is against what the files held
            more.append(["widened", self.held.widened_bytes])
        if self.given_artifact is not None:
            more.append(["given", self.given_artifact])
        return fingerprint([*parts, self.recipe.name, self.stated_stages, *more], 16)

    @property
    def group(self) -> tuple[str, str, int]:
        """Cells of one group share a reference."""
        return (self.train_task.name, self.model, self.seed)

    @property
    def title(self) -> str:
        """The cell in words, for progress and messages."""
        seed = f" seed {self.seed}" if len(self.suite.seeds) > 1 else ""
        return f"{self.task.name} · {self.recipe.name}{seed}"

    @property
    def slug(self) -> str:
        """The cell as a file name of letters, digits, dots and dashes, `LONGEST` at most: the longest words are cut."""
        model = self.given_name or (Path(self.model).name if self.model else "model")
        words = (self.task.name, model, self.recipe.name, f"seed{self.seed}", self.key[:8])
        plain = [re.sub(r"[^A-Za-z0-9.=_]+", "-", word).strip("-.") for word in words]
        while len("--".join(plain)) > LONGEST:
            longest = max(range(len(plain)), key=lambda index: len(plain[index]))
            plain[longest] = plain[longest][:-1]
        return "--".join(plain)


def used_as_is(suite: Suite, task: Task, conditions: Conditions) -> bool:
    """Whether the reference of `task` is the model as it is: if the user says so, or with 0 epochs of training."""
    return conditions.as_is or suite.training(task).epochs == 0


def described(task: Task) -> dict[str, Any]:
    """What a record depends on of a task, as JSON values: everything but titles that differs from the defaults."""
    titles: Any = {"title": True, "shifted": {"__all__": {"title"}}}
    return task.model_dump(mode="json", exclude_defaults=True, exclude=titles)


def model_name(model: str, given: str | None) -> str:
    """The model as a record names it: as the user does, else by its folder without the path, else by its id."""
    if given is not None:
        return given
    return (Path(model).resolve().name or "model") if Path(model).is_dir() else model


def require_name(name: str | None) -> None:
    """Raise `ModelError` for a name that the user gave and that records cannot have; None is no name."""
    if name is not None and not re.fullmatch(NAME, name):
        raise ModelError(
            f"--name: found {name!r}, expected a letter or digit, and then up to 99 letters, digits, dots, dashes, "
            "plus signs, underscores or slashes"
        )


def training_part(data: TaskData, task: Task) -> TaskData:
    """The data with nothing but the splits that its models are made from."""
    splits = KINDS.get(task.kind).training_splits(task)
    return replace(data, splits={split: data.splits[split] for split in splits if split in data.splits})


def plan(
    suite: Suite,
    *,
    tasks: Iterable[Task],
    model: str,
    recipes: Iterable[Recipe],
    seeds: Iterable[int],
    conditions: Conditions,
    name: str | None = None,
) -> list[Cell]:
    """The cells of a run, tasks outermost; reads the data and the model once to fingerprint and check them.

    `name` is the model's in records, file names and boards; None is its folder's or its id.
    Raises `SuiteError` as `check_suite` does, and `DataError` or `ModelError` if something is missing or does not fit,
    before anything is trained; `UnavailableError` if a stage of a recipe cannot be applied here.
    """
    require_name(name)
    check_suite(suite)
    tasks, recipes = list(tasks), list(recipes)
    heads = {KINDS.get(task.kind).head for task in tasks}
    for recipe in recipes:
        check_possible(recipe, heads=sorted(heads), device=conditions.device)
    others = [
        suite.task(each, where=recipe.name)
        for recipe in recipes
        for method in methods_of(recipe)
        for each in method.tasks()
    ]
    suite, tasks = with_labels(suite, tasks, also=others, data_dir=conditions.data_dir)
    source = open_source(model, outputs=conditions.outputs)
    model_fingerprint = source.fingerprint()
    held = _once_per_head(lambda task: source.held(head=KINDS.get(task.kind).head, labels=task.labels or None))
    usable = _once_per_head(lambda task: built_as_is(source, task, held(task)) is not None)
    seeds, cells = list(seeds), []
    elsewhere = [_elsewhere(suite, recipe, conditions) for recipe in recipes]
    for task in tasks:
        train_task = suite.task(task.trained_on) if task.trained_on else task
        data = load_data(task, data_dir=conditions.data_dir)
        train_data = data if train_task is task else load_data(train_task, data_dir=conditions.data_dir)
        refuse_one_class(train_task, train_data.splits[train_task.train])
        entries = [each.entry() for each in ([data] if train_task is task else [data, train_data])]
        data_fingerprint = data.fingerprint()
        training_fingerprint = training_part(train_data, train_task).fingerprint()
        read = [(task, data)] if train_task is task else [(train_task, train_data), (task, data)]
        fit = examine(source, suite, read, also=others, called=model_name(model, name))
        as_is = used_as_is(suite, train_task, conditions)
        if as_is:
            usable(train_task)
        if suite.training(train_task).epochs == 0:
            refuse_training(recipes, train_task)
        for seed in seeds:
            made_from = [
                PROCEDURE,
                model_fingerprint,
                *_trained_on(suite, train_task, training_fingerprint),
                seed,
                conditions.device,
                [version("torch"), version("transformers")],
                *(["segment ids added"] if fit.segments == "added" else []),
                *([["outputs", *conditions.outputs]] if conditions.outputs else []),
                *_changed_head(held(train_task)),
                *_set_head(source, train_task),
                *(["as it is"] if as_is else []),
            ]
            cells += [
                Cell(
                    suite=suite,
                    task=task,
                    train_task=train_task,
                    model=model,
                    recipe=recipe,
                    seed=seed,
                    conditions=conditions,
                    data_fingerprint=data_fingerprint,
                    training_fingerprint=training_fingerprint,
                    data_entry=entries[0],
                    train_data_entry=entries[-1],
                    model_fingerprint=model_fingerprint,
                    reference_key=fingerprint(made_from, 16),
                    elsewhere=uses,
                    given_name=name,
                    fit=fit,
                    held=held(train_task),
                )
                for recipe, uses in zip(recipes, elsewhere, strict=True)
            ]
    return cells


def _once_per_head(find: Callable[[Task], T]) -> Callable[[Task], T]:
    """`find`, called once for all tasks of one head and the same labels, since it builds the model."""
    known: dict[tuple[str, tuple[str, ...]], T] = {}

    def of(task: Task) -> T:
        wanted = (KINDS.get(task.kind).head, task.labels)
        if wanted not in known:
            known[wanted] = find(task)
        return known[wanted]

    return of


def _changed_head(held: Held | None) -> list[Any]:
    """What a key is made of besides, if the stored head is not used as it was stored."""
    return [["head", held.order, held.set_aside]] if held and (held.order or held.set_aside) else []


def _set_head(source: ModelSource, task: Task) -> list[Any]:
    """What a key is made of besides, if the head has settings, which the model's files or the task give."""
    kind = KINDS.get(task.kind)
    settings = source.head_settings(kind.head, kind.head_settings(task))
    return [["head settings", *sorted(settings.items())]] if settings else []


def _trained_on(suite: Suite, task: Task, training_fingerprint: str) -> list[Any]:
    """Everything of a task that training on it depends on."""
    return [
        training_fingerprint,
        [task.kind, task.labels],
        suite.training(task).model_dump(exclude_defaults=True),
        suite.max_length(task),
    ]


def _elsewhere(suite: Suite, recipe: Recipe, conditions: Conditions) -> dict[str, str]:
    """A fingerprint by name of each other task whose training data the recipe uses, by path of each other model.

    Raises `UnknownNameError` for a task that the suite lacks, `SuiteError` for one without training data of its own,
    `ModelError` for a folder without a model.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(name for method in methods_of(recipe) for name in method.tasks()):
        task = suite.task(name, where=recipe.name)
        if task.trained_on is not None:
            raise SuiteError(
                f"{recipe.name}: task {name} has no training data of its own. Name {task.trained_on}, on which its "
                "models are trained."
            )
        data = training_part(load_data(task, data_dir=conditions.data_dir), task)
        found[name] = fingerprint(_trained_on(suite, task, data.fingerprint()), 16)
    for folder in dict.fromkeys(folder for method in methods_of(recipe) for folder in method.folders()):
        found[folder] = open_folder(folder).fingerprint()
    return found
