"""What is available, as rows and in full: the lists of `bench list` and the descriptions of `bench show`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

from bench.base.errors import BenchError, PluginError, UnknownNameError, unknown
from bench.base.registry import broken_plugins
from bench.library.tasks import (
    Row,
    data_parts,
    dataset_rows,
    kind_rows,
    metric_rows,
    source_rows,
    suite_rows,
    task_parts,
    task_rows,
    transform_rows,
)

if TYPE_CHECKING:
    from bench.spec.recipe import RecipeFile

# Everything else is imported where it is used, so that a listing imports only what it lists.

T = TypeVar("T")


def _first_sentence(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].rstrip(".")


def _models() -> list[Row]:
    from bench.models.builtin import BUILTINS

    built_in = [{"name": name, "says": spec.title} for name, spec in BUILTINS.items()]
    return [
        *built_in,
        {"name": "a hub id", "says": "any BERT, RoBERTa, DistilBERT, ALBERT or ELECTRA encoder with safetensors"},
        {"name": "a directory", "says": "the same, saved locally with its tokenizer"},
    ]


def _recipes() -> list[Row]:
    return [
        {
            "name": name,
            "family": file.family,
            "rows": ", ".join(file.rows) or "-",
            "status": file.status,
            "cite": file.cite,
        }
        for name, file in _each_recipe(lambda file: file)
    ]


def _recipes_in_full() -> list[Row]:
    """Loads the methods, which say what a recipe is meant to save."""
    from bench.plan.recipes import saves_of

    saves = dict(_each_recipe(saves_of))
    says = {
        name: {"title": f.title, "says": f.says, "missing": f.missing} for name, f in _each_recipe(lambda file: file)
    }
    return [
        {**row, "saves": ", ".join(saves[row["name"]]) or "-", **says[row["name"]]}
        for row in _recipes()
        if row["name"] in saves
    ]


def _each_recipe(ask: Callable[[RecipeFile], T]) -> list[tuple[str, T]]:
    """What `ask` says of each recipe, by name; a recipe of another package for which it raises is skipped."""
    from bench.spec.recipe import RECIPES, read_recipe, recipe_names

    found = []
    for name in recipe_names():
        try:
            found.append((name, ask(read_recipe(name))))
        except BenchError as error:
            if not RECIPES.skip(name, error):
                raise
    return found


def _methods() -> list[Row]:
    from bench.methods.base.method import METHODS

    return [{"name": name, "says": _first_sentence(method.__doc__)} for name, method in METHODS.items()]


def _choices() -> list[Row]:
    from bench.library.choices import CHOICES

    return [
        {"name": name, "choice": registry.kind, "of": method, "arguments": ", ".join(_own_arguments(plugin)) or "-"}
        | {"says": _first_sentence(_words(plugin))}
        for registry, method in CHOICES
        for name, plugin in registry.items()
    ]


def _words(plugin: object) -> str:
    """The docstring of a plug-in, which is a class or an instance of one."""
    return (plugin if isinstance(plugin, type) else type(plugin)).__doc__ or ""


def _measures() -> list[Row]:
    from bench.measures.base.measure import MEASURES

    return [{"name": name, "says": plugin.says} for name, plugin in MEASURES.items()]


def _columns() -> list[Row]:
    from bench.columns import COLUMNS

    return [
        {"name": column.name, "unit": column.unit, "better": column.better or "neither", "says": column.says}
        for column in COLUMNS.values()
    ]


def _columns_in_full() -> list[Row]:
    from bench.columns import COLUMNS
    from bench.measures.base.measure import MEASURES

    measures = {name: measure for measure, plugin in MEASURES.items() for name in plugin.columns}
    return [
        {**row, "measure": measures.get(row["name"], "-"), "source": column.source, "oracle": column.oracle}
        for row, column in zip(_columns(), COLUMNS.values(), strict=True)
    ]


CATALOG: dict[str, Callable[[], list[Row]]] = {
    "suites": suite_rows,
    "tasks": task_rows,
    "datasets": dataset_rows,
    "sources": source_rows,
    "transforms": transform_rows,
    "kinds": kind_rows,
    "metrics": metric_rows,
    "models": _models,
    "recipes": _recipes,
    "methods": _methods,
    "choices": _choices,
    "measures": _measures,
    "columns": _columns,
}


_IN_FULL: dict[str, Callable[[], list[Row]]] = {"columns": _columns_in_full, "recipes": _recipes_in_full}


def listing(kind: str, *, full: bool = False) -> list[Row]:
    """One row per thing of `kind`, with every detail if `full`.

    Raises `UnknownNameError` for an unknown kind.
    """
    if kind not in CATALOG:
        raise unknown("list", kind, CATALOG)
    return (_IN_FULL if full and kind in _IN_FULL else CATALOG)[kind]()


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines whose columns start below each other; the last column, a sentence, runs on."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def describe(name: str, *, data_dir: Path | None = None) -> dict[str, Any]:
    """One thing in full, looked for in every list of `CATALOG`; with `data_dir`, a task's rows there are counted.

    Raises:
        UnknownNameError: no such name; the message suggests the nearest one.
        PluginError: the plug-in of that name is broken, or two packages have the name.
    """
    found = {title: each for part in _PARTS for title, each in part(name).items()}
    found |= task_parts(name, data_dir=data_dir)
    if not found:
        raise _not_found(name)
    return found


def _suite_parts(name: str) -> dict[str, Any]:
    """A suite with its whole setting; of its tasks what they state."""
    from bench.spec.suite import load_suite, suite_names

    if name not in suite_names():
        return {}
    suite = load_suite(name)
    stated = suite.model_dump(include={"tasks"}, exclude_defaults=True)
    return {"suite": {**suite.model_dump(exclude={"tasks", "task_changes"}), **stated}}


def _recipe_parts(name: str) -> dict[str, Any]:
    """A recipe file's keys, what it is meant to save, and its stages with every argument at its value."""
    from bench.plan.recipes import load_recipe, saves_of
    from bench.spec.recipe import JOIN, RECIPES, read_recipe, recipe_names, recipe_paths

    if not set(name.split(JOIN)) <= set(recipe_names()):
        return {}
    file, stages = read_recipe(name), load_recipe(name).stages
    whole = {
        "file": ", ".join(RECIPES.shown(path) for path in recipe_paths(name)),
        **file.model_dump(exclude={"stages", "published"}),
        "saves": saves_of(file),
        "published": [figure.model_dump() for figure in file.published],
        "stages": [{"method": stage.method, **stage.arguments} for stage in stages],
    }
    return {"recipe": whole}


def _method_parts(name: str) -> dict[str, Any]:
    from bench.library.choices import CHOICES
    from bench.methods.base.method import METHODS

    found: dict[str, Any] = {}
    if name in METHODS.names():
        method = METHODS.get(name)
        arguments = _described(method.model_fields)
        found["method"] = {"says": method.__doc__, "arguments": arguments, **_arguments_of_choices(name)}
    for registry, owner in CHOICES:
        if name in registry.names():
            plugin = registry.get(name)
            found[f"{registry.kind} of {owner}"] = {"says": _words(plugin), "arguments": _own_arguments(plugin)}
    return found


def _transform_parts(name: str) -> dict[str, Any]:
    from bench.tasks.sources.transforms.transform import TRANSFORMS

    if name not in TRANSFORMS.names():
        return {}
    plugin = TRANSFORMS.get(name)
    return {"transform": {"says": plugin.__doc__, "arguments": _described(plugin.model_fields)}}


def _measure_parts(name: str) -> dict[str, Any]:
    from bench.columns import COLUMNS
    from bench.measures.base.measure import MEASURES

    found: dict[str, Any] = {}
    if name in MEASURES.names():
        measure = MEASURES.get(name)
        columns = {each: COLUMNS[each].says if each in COLUMNS else _UNDECLARED for each in measure.columns}
        found["measure"] = {"says": measure.says, "budget_s": measure.budget_s, "columns": columns}
    if name in COLUMNS:
        found["column"] = {key: value for key, value in vars(COLUMNS[name]).items() if value}
    return found


def _model_parts(name: str) -> dict[str, Any]:
    from bench.models.builtin import BUILTINS

    return {"model": {"says": BUILTINS[name].title, **BUILTINS[name].settings}} if name in BUILTINS else {}


_PARTS = (_suite_parts, data_parts, _transform_parts, _recipe_parts, _method_parts, _measure_parts, _model_parts)
_UNDECLARED = "not registered as a column; the package of the measure must do so"


def _not_found(name: str) -> BenchError:
    known = {row["name"] for rows in CATALOG.values() for row in rows()}
    for broken in broken_plugins():
        if broken.name == name:
            return PluginError(str(broken))
    if not difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return UnknownNameError(
            f"nothing is named '{name}'. List names with `bench list` and one of: {', '.join(CATALOG)}"
        )
    return unknown("suite, task, data set, recipe, method, measure, column or other thing", name, known)


def _arguments_of_choices(method: str) -> dict[str, dict[str, str]]:
    """The arguments of a method's choices, below the choice that has them."""
    from bench.library.choices import CHOICES

    found = {
        f"arguments of {registry.kind} '{name}'": _own_arguments(plugin)
        for registry, owner in CHOICES
        for name, plugin in registry.items()
        if owner == method
    }
    return {title: arguments for title, arguments in found.items() if arguments}


def _own_arguments(plugin: object) -> dict[str, str]:
    """The arguments of one plug-in."""
    from bench.methods.base.choice import Choice

    return _described(plugin.model_fields) if isinstance(plugin, type) and issubclass(plugin, Choice) else {}


def _described(fields: Mapping[str, Any]) -> dict[str, str]:
    """Each argument with its type, default and meaning."""
    return {key: _argument(field) for key, field in fields.items()}


def _argument(field: Any) -> str:
    from bench.methods.base.choice import Choice, registry_of

    default = None if field.is_required() else field.get_default(call_default_factory=True)
    default = default.table(stated=True) if isinstance(default, Choice) else default
    registry = registry_of(field)
    kind = _type(field.annotation) if registry is None else f"name or table of a {registry.kind}"
    says = f": {field.description}" if field.description else ""
    return f"{kind}, {'required' if field.is_required() else f'default {default!r}'}{says}"


def _type(annotation: Any) -> str:
    """An annotation as it is written in code."""
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_type, get_args(annotation)))
    if annotation is NoneType:
        return "None"
    plain = isinstance(annotation, type) and not get_args(annotation)
    return str(annotation.__name__ if plain else annotation).replace("typing.", "")
