"""A recipe: a named list of stages, each a method with its arguments, read from one small TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.base.schema import NAME, Frozen, read_toml, validated
from bench.base.shelf import Shelf
from bench.columns import column

RECIPES_DIR = Path(__file__).parent.parent / "recipes"
RECIPES = Shelf("recipe", folder=RECIPES_DIR, group="bench.recipes")

Status = Literal["faithful", "mechanism"]
Expectation = Literal["lower", "same", "higher", "not lower"]


class Figure(Frozen):
    """A published figure of the original work; `verified` only if the source itself was read.

    `column`, `value` and `expect` say to programs what a column can hold of it: with what was measured they tell if its
    direction and size are met.
    """

    figure: str = Field(description="what is reported, in words")
    source: str = ""
    verified: bool = False
    column: str | None = Field(None, description="result column that it is about")
    value: float | None = Field(
        None,
        gt=0,
        description="artifact over reference; of speedup, compression and retention the figure itself",
    )
    expect: Expectation | None = Field(None, description="where the artifact stands relative to the reference")
    of: str = Field("", description="name with arguments of the one variant that it is about; empty for all")

    @field_validator("column")
    @classmethod
    def _exists(cls, name: str | None) -> str | None:
        return None if name is None else column(name).name

    @model_validator(mode="after")
    def _a_column_has_a_value_and_a_value_a_column(self) -> Figure:
        if (self.column is None) != (self.value is None and self.expect is None):
            raise ValueError("a typed figure is a column with a value, an expect or both; give all of it or nothing")
        return self


class RecipeFile(Frozen):
    """The keys of a recipe file; `stages` hold a `method` and its arguments."""

    title: str
    family: str
    cite: str
    says: str = ""
    rows: tuple[str, ...] = Field((), description="ids of the survey's rows that this recipe stands for")
    status: Status = Field("faithful", description="'mechanism' if a part of the published system is missing")
    missing: str = Field("", description="what the published system has that this recipe has not, and why")
    checked: tuple[str, ...] = Field((), description="what of the equations was read in original code or paper, where")
    published: tuple[Figure, ...] = ()
    stages: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _a_mechanism_says_what_is_missing(self) -> RecipeFile:
        if (self.status == "mechanism") != bool(self.missing):
            raise ValueError(
                f"status '{self.status}' with missing = '{self.missing}': a mechanism, and only a "
                "mechanism, says what the published system has that it has not"
            )
        return self


class Stage(Frozen):
    """One method with every argument resolved; a choice with arguments of its own is a table with its `name`."""

    method: str
    arguments: dict[str, Any]


class Recipe(Frozen):
    """A recipe ready to run; `name` carries the arguments that differ from the file's."""

    name: str
    base: str = Field(pattern=NAME)
    file: RecipeFile
    stages: tuple[Stage, ...]


def recipe_names() -> list[str]:
    """The recipes of bench and of installed packages."""
    return RECIPES.names()


def read_recipe(name: str) -> RecipeFile:
    """The file of the recipe called `name`; raises `UnknownNameError` that suggests the nearest name."""
    path = recipe_path(name)
    return validated(RecipeFile, read_toml(path), where=RECIPES.shown(path))


def recipe_path(name: str, *, where: str | None = None) -> Path:
    """The file of the recipe called `name`, or the path `name` that ends in `.toml`."""
    return Path(name) if name.endswith(".toml") else RECIPES.path(name, where=where)
