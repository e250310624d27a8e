"""What distinguishes the recipes of a grid: the arguments of their stages, as tables show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic.fields import FieldInfo

from bench.base.errors import SuiteError, UnknownNameError, unknown
from bench.methods.base.choice import Choice, registry_of
from bench.methods.base.method import METHODS
from bench.methods.base.terms.table import Terms
from bench.records.record import Record, StageLog

if TYPE_CHECKING:
    from bench.spec.recipe import Recipe, Stage
    from bench.spec.suite import Finding

NONE = "none"  # how an argument that is None or empty is written, and read in a condition
WHOLE = ("recipe", "task", "seed", "model")  # what tells records apart and is no argument


def coordinates(record: Record) -> dict[str, str]:
    """The record's place in any grid: `recipe` (its file), `task`, `seed`, `model`, and every argument of its stages.

    An argument of a choice stands behind it, as `schedule.rounds`. One that a stage leaves out has its default; one
    that several stages have differently stands as both with a + between.
    """
    whole = {"recipe": record.recipe_base, "task": record.task, "seed": str(record.seed), "model": record.model}
    return {**stated(record.stages), **whole}


def ran_by(record: Record) -> str:
    """The name of the runtime that ran the measured model; records from before runtimes were measured are PyTorch's."""
    told = record.conditions.get("runtime", {}).get("runtime")
    return str(told["runtime"]) if isinstance(told, dict) else "eager"


def stated(stages: Iterable[Stage | StageLog]) -> dict[str, str]:
    """Every argument of some stages by name; see `coordinates`."""
    found: dict[str, list[str]] = {}
    for stage in stages:
        for name, argument in _filled(stage).items():
            found.setdefault(name, []).append(said(argument))
    return {name: "+".join(dict.fromkeys(values)) for name, values in found.items()}


def _filled(stage: Stage | StageLog) -> dict[str, Any]:
    """A stage's arguments with the defaults of those left out; those of a choice behind its own name and a dot.

    What another plug-in of the same choice takes, and the chosen one does not, is None.
    """
    method = METHODS.get(stage.method) if stage.method in METHODS.names() else None
    fields = method.model_fields if method else {}
    found: dict[str, Any] = {}
    for name, argument in {**_defaults(fields), **stage.arguments}.items():
        if name in fields and fields[name].annotation is Terms:
            found |= _of_terms(name, Terms.made(argument).table())
            continue
        registry = registry_of(fields[name]) if name in fields else None
        if isinstance(argument, Choice):
            argument = argument.table()
        table = argument if isinstance(argument, dict) and "name" in argument else {"name": argument}
        plugin = table["name"]
        found[name] = plugin
        if registry is not None:
            found |= {f"{name}.{inner}": None for _, other in registry.items() for inner in other.model_fields}
            if plugin in registry.names():
                defaults = _defaults(registry.get(plugin).model_fields)
                found |= {f"{name}.{inner}": value for inner, value in defaults.items()}
        found |= {f"{name}.{inner}": value for inner, value in table.items() if inner != "name"}
    return found


def _of_terms(name: str, terms: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of terms under `name`, and every argument of each behind its key: `terms.logits.weight`."""
    found: dict[str, Any] = {name: "+".join(terms)}
    for key, term in terms.items():
        for argument, value in term.items():
            table = value if isinstance(value, dict) else {"name": value}
            found |= {f"{name}.{key}.{argument}" + (f".{i}" if i != "name" else ""): v for i, v in table.items()}
    return found


def _defaults(fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    return {
        name: field.get_default(call_default_factory=True) for name, field in fields.items() if not field.is_required()
    }


def check_finding(finding: Finding, recipes: Sequence[Recipe], *, where: str) -> None:
    """Raise if a finding names an argument that no recipe has, or asks for values that none has.

    `UnknownNameError` suggests the nearest name; `SuiteError` says that no recipe meets the conditions.
    """
    places = [{**stated(recipe.stages), "recipe": recipe.base} for recipe in recipes if recipe.stages]
    known = dict.fromkeys([*WHOLE, *(name for place in places for name in place)])
    for name in (*finding.rows, *finding.columns, *finding.where):
        if name not in known:
            raise no_argument(name, known, where=where)
    asked = {name: value for name, value in finding.where.items() if name not in ("task", "seed", "model")}
    if not any(asked.items() <= place.items() for place in places):
        said_of = ", ".join(f"{name}={value}" for name, value in asked.items())
        raise SuiteError(f"{where}: no recipe of the suite has {said_of}. Write values as `bench table` shows them.")


def no_argument(name: str, known: Iterable[str], *, where: str | None = None) -> UnknownNameError:
    """The error for an argument that is not in `known`; names the choice that it belongs to, if any."""
    owners = sorted(each for each in known if each.endswith(f".{name}"))
    if not owners:
        return unknown("argument", name, known, where=where)
    place = f"{where}: " if where else ""
    return UnknownNameError(f"{place}'{name}' is an argument of a choice. Write {' or '.join(owners)}.")


def said(argument: Any) -> str:
    """One argument as text: 0.5, true, query+key, none."""
    if argument is None:
        return NONE
    if isinstance(argument, bool):
        return str(argument).lower()
    if isinstance(argument, list | tuple):
        return "+".join(map(str, argument)) or NONE
    return f"{argument:g}" if isinstance(argument, float) else str(argument)
