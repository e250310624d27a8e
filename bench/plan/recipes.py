"""Recipes ready to run: their files with overrides applied, checked against the methods that they name."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, get_args

from pydantic.fields import FieldInfo

from bench.base.errors import SuiteError, UnavailableError, UnknownNameError, unknown
from bench.base.schema import validated
from bench.methods.base.choice import registry_of
from bench.methods.base.method import METHODS, Method
from bench.methods.base.terms.table import Terms, changed
from bench.spec.recipe import JOIN, RECIPES, Recipe, RecipeFile, Stage, base_of, read_recipe, recipe_paths
from bench.spec.saving import Saving
from bench.spec.suite import Variants, flat


def load_recipe(name: str, overrides: dict[str, Any] | None = None, *, where: str | None = None) -> Recipe:
    """The recipe called `name`, or at the path `name` ending in `.toml`, with `overrides` applied.

    Args:
        name: a recipe of bench or of an installed package, a path to a TOML file, or several with a plus sign between
            them, such as `distillation+int8`: the stages of each follow those of the one before.
        overrides: argument to value. `sparsity` goes to the one stage that has it, `2.bits` to the second stage,
            `saliency.start` or `2.saliency.start` to an argument of a choice, and `terms.logits.weight` to an argument
            of a term, in the one stage that has the term. A choice that is given anew, by its name
            or as a table, keeps no argument of the one before.
        where: what asked for the recipe, for messages.

    Raises:
        UnknownNameError: no such recipe, method or argument. SuiteError: an argument of wrong type or range, or a
            stage after one that must be the last.
    """
    file, base = read_recipe(name, where=where), base_of(name, where=where)
    source = JOIN.join(RECIPES.shown(path) for path in recipe_paths(name))
    tables = [dict(table) for table in file.stages]
    values = flat(overrides or {})
    for key, value in sorted(values.items(), key=lambda item: item[0].count(".")):  # a choice before its arguments
        _apply(tables, key, value, recipe=base)
    stages = tuple(_stage(table, where=f"{source}: stage {number}") for number, table in enumerate(tables, start=1))
    _refuse_after_last(stages, where=source)
    applied = ",".join(f"{key}={value}" for key, value in values.items())
    return Recipe(name=base + (f"[{applied}]" if applied else ""), base=base, file=file, stages=stages)


def expand(chosen: str | Variants, extra: dict[str, Any] | None = None, *, where: str | None = None) -> list[Recipe]:
    """Every recipe that an entry of a suite stands for: lists in its `set` are a grid.

    `extra` (command line) overrides `set`.
    """
    chosen = merged(Variants(recipe=chosen) if isinstance(chosen, str) else chosen, extra)
    values = flat(chosen.set)
    axes = [value if isinstance(value, list) else [value] for value in values.values()]
    return [
        load_recipe(chosen.recipe, dict(zip(values, point, strict=True)), where=where)
        for point in itertools.product(*axes)
    ]


def merged(chosen: Variants, extra: dict[str, Any] | None = None) -> Variants:
    """An entry of a suite with `extra` in its `set`; a choice given anew keeps no argument of the one before."""
    new = flat(extra or {})
    kept = {key: value for key, value in flat(chosen.set).items() if not any(key.startswith(f"{n}.") for n in new)}
    return Variants(recipe=chosen.recipe, set={**kept, **new})


def methods_of(recipe: Recipe) -> list[Method]:
    """The stages of a recipe as validated method objects, in order."""
    return [METHODS.get(stage.method).model_validate(stage.arguments) for stage in recipe.stages]


def check_possible(recipe: Recipe, *, heads: Iterable[str], device: str) -> None:
    """Raise `UnavailableError` if a stage cannot be applied here to models with one of the `heads` on `device`."""
    for number, method in enumerate(methods_of(recipe), start=1):
        for head in heads:
            reason = method.refusal(head, device)
            if reason is not None:
                raise UnavailableError(f"{recipe.name}: stage {number} ({recipe.stages[number - 1].method}): {reason}.")


def saves_of(file: RecipeFile) -> tuple[Saving, ...]:
    """What the stages of a recipe file are together meant to save, by what their methods say."""
    stages = [_stage(table, where=f"stage {number}") for number, table in enumerate(file.stages, start=1)]
    found = {saving for stage in stages for saving in METHODS.get(stage.method)(**stage.arguments).saving()}
    return tuple(saving for saving in get_args(Saving) if saving in found)


def _apply(tables: list[dict[str, Any]], key: str, value: Any, *, recipe: str) -> None:
    """Set one override in the stage tables."""
    where = f"--set {recipe}.{key}"
    number, _, rest = key.partition(".")
    if number.isdigit():
        if not 1 <= int(number) <= len(tables):
            raise SuiteError(f"{where}: '{number}' is not one of the stages 1 to {len(tables)}")
        candidates = [tables[int(number) - 1]]
    else:
        candidates, rest = tables, key
    argument, _, inside = rest.partition(".")
    targets = [table for table in candidates if argument in _fields(table)]
    if not targets:
        raise _lacking(argument, candidates, where)
    if len(targets) > 1 and inside and all(_fields(table)[argument].annotation is Terms for table in targets):
        key = inside.partition(".")[0]
        having = [table for table in targets if key in _terms_of(table, argument)]
        targets = having if len(having) == 1 else targets
    if len(targets) > 1:
        raise SuiteError(f"{where}: several stages have '{argument}'; say which, for example '1.{argument}'")
    (table,) = targets
    if inside and _fields(table)[argument].annotation is Terms:
        table[argument] = _termed(table, argument, inside, value, where)
    else:
        table[argument] = {**_opened(table, argument, where), inside: value} if inside else value


def _termed(table: dict[str, Any], argument: str, path: str, value: Any, where: str) -> dict[str, Any]:
    """The terms of a stage with one of their arguments changed."""
    try:
        return changed(_terms_of(table, argument), path, value)
    except ValueError as error:
        raise SuiteError(f"{where}: {error}") from error


def _terms_of(table: dict[str, Any], argument: str) -> dict[str, Any]:
    """The terms of a stage as its table states them, or as its method has them by default."""
    given = table.get(argument, _fields(table)[argument].get_default(call_default_factory=True))
    return given.table() if isinstance(given, Terms) else dict(given)


def _opened(table: dict[str, Any], argument: str, where: str) -> dict[str, Any]:
    """The table of an argument that holds more than a value: a choice with its name, or numbers by role."""
    field = _fields(table)[argument]
    given = table.get(argument, field.get_default(call_default_factory=True))
    registry = registry_of(field)
    if registry is not None:
        if given is None:
            raise SuiteError(f"{where}: the recipe has no {argument}. Name one of: {', '.join(registry.names())}")
        given = given if isinstance(given, str | dict) else given.table()
        return {"name": given} if isinstance(given, str) else given
    if not isinstance(given, dict):
        raise SuiteError(f"{where}: '{argument}' has no arguments of its own")
    return given


def _refuse_after_last(stages: tuple[Stage, ...], *, where: str) -> None:
    """Raise `SuiteError` if a stage follows one whose model no method can change."""
    for number, stage in enumerate(stages[:-1], start=1):
        if METHODS.get(stage.method).last:
            raise SuiteError(
                f"{where}: stage {number} ({stage.method}) gives a model that no method can change, but stage "
                f"{number + 1} ({stages[number].method}) follows. Make {stage.method} the last stage."
            )


def _lacking(argument: str, tables: list[dict[str, Any]], where: str) -> UnknownNameError:
    """The error for an argument that no stage has; says to which choice it belongs, if to any."""
    fields = [item for table in tables for item in _fields(table).items()]
    choices = [(name, registry) for name, field in fields if (registry := registry_of(field)) is not None]
    owners = dict.fromkeys(
        f"{name}.{argument}"
        for name, registry in choices
        if any(argument in plugin.model_fields for _, plugin in registry.items())
    )
    if owners:
        return UnknownNameError(f"{where}: '{argument}' is an argument of a choice: write {' or '.join(owners)}")
    return unknown("argument", argument, {name for name, _ in fields}, where=where)


def _fields(table: dict[str, Any]) -> dict[str, FieldInfo]:
    return METHODS.get(str(table.get("method"))).model_fields


def _stage(table: dict[str, Any], *, where: str) -> Stage:
    if "method" not in table:
        raise SuiteError(f"{where}: missing key 'method'")
    arguments = {key: value for key, value in table.items() if key != "method"}
    method = METHODS.get(str(table["method"]), where=f"{where}: method")
    return Stage(
        method=str(table["method"]), arguments=validated(method, arguments, where=where).model_dump(mode="json")
    )
