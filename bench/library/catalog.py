"""What there is: suites, tasks, models, recipes, methods, choices, measures and columns, as rows and in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from bench.base.errors import unknown
from bench.columns import COLUMNS
from bench.library.choices import CHOICES
from bench.measures.base.measure import MEASURES
from bench.methods.base.choice import Choice, registry_of
from bench.methods.base.method import METHODS
from bench.models.builtin import BUILTINS
from bench.plan.recipes import load_recipe, saves_of
from bench.spec.recipe import read_recipe, recipe_names, recipe_path
from bench.spec.suite import load_suite, suite_names

Row = dict[str, str]


def _first_sentence(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].rstrip(".")


def _suites() -> list[Row]:
    suites = [load_suite(name) for name in suite_names()]
    return [{"name": suite.name, "tasks": str(len(suite.tasks)), "title": suite.title} for suite in suites]


def _tasks() -> list[Row]:
    suites = [load_suite(name) for name in suite_names()]
    return [
        {"name": task.name, "suite": suite.name, "kind": task.kind, "metrics": ", ".join(task.metrics)}
        for suite in suites
        for task in suite.tasks
    ]


def _models() -> list[Row]:
    built_in = [{"name": name, "says": spec.title} for name, spec in BUILTINS.items()]
    return [
        *built_in,
        {"name": "a hub id", "says": "any BERT, RoBERTa, DistilBERT, ALBERT or ELECTRA encoder with safetensors"},
        {"name": "a directory", "says": "the same, saved locally with its tokenizer"},
    ]


def _recipes() -> list[Row]:
    files = [(name, read_recipe(name)) for name in recipe_names()]
    return [
        {
            "name": name,
            "family": file.family,
            "rows": ", ".join(file.rows) or "-",
            "saves": ", ".join(saves_of(file)) or "-",
            "status": file.status,
            "cite": file.cite,
        }
        for name, file in files
    ]


def _recipes_in_full() -> list[Row]:
    files = [read_recipe(name) for name in recipe_names()]
    return [
        {**row, "title": file.title, "says": file.says, "missing": file.missing}
        for row, file in zip(_recipes(), files, strict=True)
    ]


def _methods() -> list[Row]:
    return [{"name": name, "says": _first_sentence(method.__doc__)} for name, method in METHODS.items()]


def _choices() -> list[Row]:
    return [
        {"name": name, "choice": registry.kind, "of": method, "arguments": ", ".join(_own_arguments(plugin)) or "-"}
        | {"says": _first_sentence(_words(plugin))}
        for registry, method in CHOICES
        for name, plugin in registry.items()
    ]


def _words(plugin: object) -> str:
    """What a plug-in says of itself, be it a class or an instance of one."""
    return (plugin if isinstance(plugin, type) else type(plugin)).__doc__ or ""


def _measures() -> list[Row]:
    return [{"name": name, "says": plugin.says} for name, plugin in MEASURES.items()]


def _columns() -> list[Row]:
    return [
        {"name": column.name, "unit": column.unit, "better": column.better or "neither", "says": column.says}
        for column in COLUMNS.values()
    ]


def _columns_in_full() -> list[Row]:
    measures = {name: measure for measure, plugin in MEASURES.items() for name in plugin.columns}
    return [
        {**row, "measure": measures[row["name"]], "source": column.source, "oracle": column.oracle}
        for row, column in zip(_columns(), COLUMNS.values(), strict=True)
    ]


CATALOG: dict[str, Callable[[], list[Row]]] = {
    "suites": _suites,
    "tasks": _tasks,
    "models": _models,
    "recipes": _recipes,
    "methods": _methods,
    "choices": _choices,
    "measures": _measures,
    "columns": _columns,
}


_IN_FULL: dict[str, Callable[[], list[Row]]] = {"columns": _columns_in_full, "recipes": _recipes_in_full}


def listing(kind: str, *, full: bool = False) -> list[Row]:
    """One row for each thing of `kind`, with all there is to say where `full`.

    Raises `UnknownNameError` for a kind there is not.
    """
    if kind not in CATALOG:
        raise unknown("list", kind, CATALOG)
    return (_IN_FULL if full and kind in _IN_FULL else CATALOG)[kind]()


def describe(name: str) -> dict[str, Any]:
    """One thing in full, looked for among suites, recipes, tasks, methods, their choices, measures, models and columns.

    Raises `UnknownNameError` that suggests the nearest of all their names.
    """
    found: dict[str, Any] = {}
    if name in suite_names():
        found["suite"] = load_suite(name).model_dump(exclude_defaults=False)
    if name in recipe_names():
        found["recipe"] = _recipe_in_full(recipe_path(name))
    for suite in (load_suite(each) for each in suite_names()):
        found |= {f"task of {suite.name}": task.model_dump() for task in suite.tasks if task.name == name}
    if name in METHODS.names():
        arguments = _described(METHODS.get(name).model_fields)
        found["method"] = {"says": METHODS.get(name).__doc__, "arguments": arguments, **_arguments_of_choices(name)}
    for registry, method in CHOICES:
        if name in registry.names():
            plugin = registry.get(name)
            found[f"{registry.kind} of {method}"] = {"says": _words(plugin), "arguments": _own_arguments(plugin)}
    if name in MEASURES.names():
        measure = MEASURES.get(name)
        columns = {each: COLUMNS[each].says for each in measure.columns}
        found["measure"] = {"says": measure.says, "budget_s": measure.budget_s, "columns": columns}
    if name in COLUMNS:
        found["column"] = COLUMNS[name]._asdict()
    if name in BUILTINS:
        found["model"] = {"says": BUILTINS[name].title, **BUILTINS[name].settings}
    if not found:
        raise unknown("suite, recipe, task, method, choice, measure, model or column", name, _every_name())
    return found


def _recipe_in_full(path: Path) -> dict[str, Any]:
    """A recipe file's keys, what it is meant to save, and its stages with every argument at its value."""
    file, stages = read_recipe(path.stem), load_recipe(path.stem).stages
    return {
        "file": f"recipes/{path.parent.name}/{path.name}",
        **file.model_dump(exclude={"stages", "published"}),
        "saves": saves_of(file),
        "published": [figure.model_dump() for figure in file.published],
        "stages": [{"method": stage.method, **stage.arguments} for stage in stages],
    }


def _arguments_of_choices(method: str) -> dict[str, dict[str, str]]:
    """The arguments of a method's choices, below the choice that has them."""
    found = {
        f"arguments of {registry.kind} '{name}'": _own_arguments(plugin)
        for registry, owner in CHOICES
        for name, plugin in registry.items()
        if owner == method
    }
    return {title: arguments for title, arguments in found.items() if arguments}


def _own_arguments(plugin: object) -> dict[str, str]:
    """The arguments of one plug-in, which are few or none."""
    return _described(plugin.model_fields) if isinstance(plugin, type) and issubclass(plugin, Choice) else {}


def _described(fields: Mapping[str, Any]) -> dict[str, str]:
    """Each argument with its type, default and meaning."""
    return {key: _argument(field) for key, field in fields.items()}


def _argument(field: Any) -> str:
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    default = default.table(stated=True) if isinstance(default, Choice) else default
    registry = registry_of(field)
    kind = _type(field.annotation) if registry is None else f"name or table of a {registry.kind}"
    says = f": {field.description}" if field.description else ""
    return f"{kind}, {'required' if field.is_required() else f'default {default!r}'}{says}"


def _type(annotation: Any) -> str:
    """An annotation as one writes it."""
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_type, get_args(annotation)))
    if annotation is NoneType:
        return "None"
    plain = isinstance(annotation, type) and not get_args(annotation)
    return str(annotation.__name__ if plain else annotation).replace("typing.", "")


def _every_name() -> list[str]:
    tasks = [row["name"] for row in _tasks()]
    chosen = [name for registry, _ in CHOICES for name in registry.names()]
    return [*suite_names(), *recipe_names(), *tasks, *METHODS.names(), *chosen, *MEASURES.names(), *BUILTINS, *COLUMNS]
