"""A recipe: a named list of stages, each a method with its arguments, read from one small TOML file."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from bench.base.errors import SuiteError, unknown
from bench.base.schema import NAME, Frozen, read_toml, validated
from bench.columns import column
from bench.methods.base.method import METHODS, Method
from bench.spec.saving import Saving
from bench.spec.suite import Choice

RECIPES_DIR = Path(__file__).parent.parent / "recipes"

Status = Literal["faithful", "mechanism"]
Expectation = Literal["lower", "same", "higher", "not lower"]


class Published(Frozen):
    """A figure of the original work; `verified` only where the source itself was read.

    `column`, `value` and `expect` say the claim, or the part of it that a column can hold, to programs: beside what was
    measured they tell whether its direction and size are met.
    """

    claim: str
    source: str = ""
    verified: bool = False
    column: str | None = Field(None, description="result column that the claim is about")
    value: float | None = Field(
        None,
        gt=0,
        description="artifact over reference; of speedup, compression and retention the figure itself",
    )
    expect: Expectation | None = Field(None, description="where the artifact stands relative to the reference")
    of: str = Field("", description="name with arguments of the one variant that the claim is about; empty for all")

    @field_validator("column")
    @classmethod
    def _exists(cls, name: str | None) -> str | None:
        return None if name is None else column(name).name

    @model_validator(mode="after")
    def _a_column_has_a_figure_and_a_figure_a_column(self) -> Published:
        if (self.column is None) != (self.value is None and self.expect is None):
            raise ValueError("a typed claim is a column with a value, an expect or both; give all of it or nothing")
        return self


class RecipeFile(Frozen):
    """The keys of a recipe file; `stages` hold a `method` and its arguments."""

    title: str
    family: str
    cite: str
    says: str = ""
    rows: tuple[str, ...] = Field((), description="ids of the survey's rows that this recipe stands for")
    status: Status = Field("faithful", description="'mechanism' where a part of the published system is missing")
    missing: str = Field("", description="what the published system has that this recipe has not, and why")
    checked: tuple[str, ...] = Field((), description="what of the equations was read in original code or paper, where")
    published: tuple[Published, ...] = ()
    stages: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _a_mechanism_says_what_is_missing(self) -> RecipeFile:
        if (self.status == "mechanism") != bool(self.missing):
            raise ValueError(
                f"status '{self.status}' with missing = '{self.missing}': a mechanism, and only a "
                "mechanism, says what the published system has that it has not"
            )
        return self

    @property
    def saves(self) -> tuple[Saving, ...]:
        """What the stages together are meant to save, by what each method claims."""
        claimed = {saving for number, stage in enumerate(self.stages) for saving in _claims(stage, number)}
        return tuple(saving for saving in get_args(Saving) if saving in claimed)


class Stage(Frozen):
    """One method with every argument resolved."""

    method: str
    arguments: dict[str, Any]


class Recipe(Frozen):
    """A recipe ready to run; `name` carries the arguments that differ from the file's."""

    name: str
    base: str = Field(pattern=NAME)
    file: RecipeFile
    stages: tuple[Stage, ...]

    def methods(self) -> list[Method]:
        """The stages as validated method objects, in order."""
        return [METHODS.get(stage.method).model_validate(stage.arguments) for stage in self.stages]


def recipe_names() -> list[str]:
    """Every recipe that travels with the package."""
    return sorted(path.stem for path in RECIPES_DIR.glob("*/*.toml"))


def read_recipe(name: str) -> RecipeFile:
    """The file of the recipe called `name`; raises `UnknownNameError` that suggests the nearest name."""
    path = _path(name)
    return validated(RecipeFile, read_toml(path), where=f"recipes/{path.parent.name}/{path.name}")


def load_recipe(name: str, overrides: dict[str, Any] | None = None, *, where: str | None = None) -> Recipe:
    """The recipe called `name`, or at the path `name` ending in `.toml`, with `overrides` applied.

    Args:
        name: a recipe of the package or a path to a TOML file.
        overrides: argument to value. `sparsity` goes to the one stage that has it; `2.bits` to the second stage.
        where: what asked for the recipe, for messages.

    Raises:
        UnknownNameError: no such recipe, method or argument. SuiteError: an argument of wrong type or range.
    """
    path = _path(name, where=where)
    source = f"recipes/{path.parent.name}/{path.name}"
    file = validated(RecipeFile, read_toml(path), where=source)
    tables = [dict(table) for table in file.stages]
    applied = [_apply(tables, key, value, recipe=path.stem) for key, value in (overrides or {}).items()]
    stages = tuple(_stage(table, where=f"{source}: stages[{index}]") for index, table in enumerate(tables))
    name = path.stem + (f"[{','.join(applied)}]" if applied else "")
    return Recipe(name=name, base=path.stem, file=file, stages=stages)


def expand(choice: str | Choice, extra: dict[str, Any] | None = None, *, where: str | None = None) -> list[Recipe]:
    """Every recipe of a suite's choice: lists in its `set` are a grid, `extra` (command line) overrides them."""
    if isinstance(choice, str):
        choice = Choice(recipe=choice)
    values = {**choice.set, **(extra or {})}
    axes = [value if isinstance(value, list) else [value] for value in values.values()]
    return [
        load_recipe(choice.recipe, dict(zip(values, point, strict=True)), where=where)
        for point in itertools.product(*axes)
    ]


def _path(name: str, *, where: str | None = None) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    for path in RECIPES_DIR.glob("*/*.toml"):
        if path.stem == name:
            return path
    raise unknown("recipe", name, recipe_names(), where=where)


def _apply(tables: list[dict[str, Any]], key: str, value: Any, *, recipe: str) -> str:
    """Set one override in the stage tables; returns `key=value` as it goes into the recipe's name."""
    where = f"--set {recipe}.{key}"
    number, _, argument = key.rpartition(".")
    if number:
        if not number.isdigit() or not 1 <= int(number) <= len(tables):
            raise SuiteError(f"{where}: '{number}' is not one of the stages 1 to {len(tables)}")
        targets = [tables[int(number) - 1]]
    else:
        targets = [table for table in tables if argument in METHODS.get(str(table.get("method"))).arguments()]
    if not targets:
        known = {name for table in tables for name in METHODS.get(str(table.get("method"))).arguments()}
        raise unknown("argument", argument, known, where=where)
    if len(targets) > 1:
        raise SuiteError(f"{where}: several stages have '{argument}'; say which, for example '1.{argument}'")
    targets[0][argument] = value
    return f"{key}={value}"


def _claims(table: dict[str, Any], number: int) -> frozenset[Saving]:
    """What a stage's method is meant to save with its arguments."""
    stage = _stage(table, where=f"stages[{number}]")
    return METHODS.get(stage.method).model_validate(stage.arguments).claims()


def _stage(table: dict[str, Any], *, where: str) -> Stage:
    if "method" not in table:
        raise SuiteError(f"{where}: missing key 'method'")
    arguments = {key: value for key, value in table.items() if key != "method"}
    method = METHODS.get(str(table["method"]), where=f"{where}.method")
    return Stage(method=str(table["method"]), arguments=validated(method, arguments, where=where).model_dump())
