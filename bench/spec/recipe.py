"""A recipe: a named list of stages, each a method with its arguments, read from one small TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from bench.base.schema import Frozen, read_toml, validated
from bench.base.shelf import Shelf
from bench.columns import column

RECIPES_DIR = Path(__file__).parent.parent / "recipes"
RECIPES = Shelf("recipe", folder=RECIPES_DIR, group="bench.recipes")

JOIN = "+"  # between the names of recipes that run one after the other
CHAIN = r"^[a-z0-9][a-z0-9._+-]*$"
MIXTURE = "mixture"  # the family of recipes that join several
# Families whose recipes change how a model is trained or run, and not what it is compressed by.
_BESIDE = ("reference", "baseline", "runtime")

Status = Literal["faithful", "mechanism"]
Expectation = Literal["lower", "same", "higher", "not lower"]


class Figure(Frozen):
    """A published figure of the original work; `verified` only if the source itself was read.

    `column`, `value` and `expect` say to programs what a column can hold of it: with what was measured they tell if its
    direction and size are met.
    """

    figure: str = Field(description="what the source reports, in words")
    source: str = ""
    verified: bool = False
    column: str | None = Field(None, description="result column of the figure")
    value: float | None = Field(
        None,
        gt=0,
        description="artifact over reference; for speedup, compression and retention the figure itself",
    )
    expect: Expectation | None = Field(None, description="where the artifact stands relative to the reference")
    of: str = Field("", description="name with arguments of the only variant that the figure is about; empty for all")

    @field_validator("column")
    @classmethod
    def _exists(cls, name: str | None) -> str | None:
        return None if name is None else column(name).name

    @model_validator(mode="after")
    def _a_column_has_a_value_and_a_value_a_column(self) -> Figure:
        if (self.column is None) != (self.value is None and self.expect is None):
            raise ValueError("a figure with a column needs a value, an expect or both; without a column it has neither")
        return self


class RecipeFile(Frozen):
    """The keys of a recipe file; `stages` hold a `method` and its arguments."""

    title: str
    family: str
    cite: str
    says: str = ""
    rows: tuple[str, ...] = Field((), description="ids of the survey's rows that this recipe stands for")
    status: Status = Field("faithful", description="'mechanism' if a part of the published system is missing")
    missing: str = Field("", description="what the published system has and this recipe lacks, and why")
    checked: tuple[str, ...] = Field(
        (), description="which equations were checked against the original code or paper, and where"
    )
    published: tuple[Figure, ...] = ()
    stages: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _a_mechanism_says_what_is_missing(self) -> RecipeFile:
        if (self.status == "mechanism") != bool(self.missing):
            raise ValueError(
                f"status is '{self.status}', but missing = '{self.missing}'. If, and only if, status is 'mechanism', "
                "`missing` says what the recipe lacks of the published system."
            )
        return self


class Stage(Frozen):
    """One method with every argument resolved; a choice with arguments of its own is a table with its `name`."""

    method: str
    arguments: dict[str, Any]


class Recipe(Frozen):
    """A recipe ready to run; `name` carries the arguments that differ from the file's."""

    name: str
    base: str = Field(pattern=CHAIN)
    file: RecipeFile
    stages: tuple[Stage, ...]


def recipe_names() -> list[str]:
    """The recipes of bench and of installed packages."""
    return RECIPES.names()


def read_recipe(name: str, *, where: str | None = None) -> RecipeFile:
    """The file of the recipe called `name`; of several names with a plus sign between them, the files as one.

    Args:
        name: `int8`, a path to a TOML file, or a chain such as `distillation+int8`, whose stages follow each other.
        where: what asked for the recipe, for messages.

    Raises:
        UnknownNameError: there is no such recipe; the message suggests the nearest name. SuiteError: a malformed file.
    """
    files = []
    for path in recipe_paths(name, where=where):
        files.append(validated(RecipeFile, read_toml(path), where=RECIPES.shown(path)))
    return files[0] if len(files) == 1 else _joined(files)


def recipe_paths(name: str, *, where: str | None = None) -> list[Path]:
    """The files of a recipe or of a chain of them, in the order in which their stages run."""
    if name.endswith(".toml") and Path(name).is_file():
        return [Path(name)]
    return [_path(each, where) for each in name.split(JOIN)]


def base_of(name: str, *, where: str | None = None) -> str:
    """What records call a recipe without its arguments: its file's name, or those of a chain."""
    return JOIN.join(path.stem for path in recipe_paths(name, where=where))


def _path(name: str, where: str | None) -> Path:
    return Path(name) if name.endswith(".toml") else RECIPES.path(name, where=where)


def _joined(files: list[RecipeFile]) -> RecipeFile:
    """One file of the stages of all; it stands for no system of the survey and has no published figures."""
    families = list(dict.fromkeys(file.family for file in files if file.family not in _BESIDE))
    own = families or [files[-1].family]
    missing = " ".join(file.missing for file in files if file.missing)
    return RecipeFile(
        title=", then ".join(file.title for file in files),
        family=own[0] if len(own) == 1 else MIXTURE,
        cite="; ".join(dict.fromkeys(file.cite for file in files)),
        says=" ".join(file.says for file in files if file.says),
        status="mechanism" if missing else "faithful",
        missing=missing,
        checked=tuple(line for file in files for line in file.checked),
        stages=tuple(stage for file in files for stage in file.stages),
    )
