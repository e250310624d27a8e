"""What tells the recipes of a grid apart: the arguments of their stages, as they are written in tables."""

from __future__ import annotations

from typing import Any

from bench.methods.method import METHODS
from bench.record import Record

NONE = "none"  # how an argument that is None or empty is written, and read in a condition
WHOLE = ("recipe", "task", "seed", "model")  # what tells records apart and is no argument


def coordinates(record: Record) -> dict[str, str]:
    """The record's place in any grid: `recipe` (its file), `task`, `seed`, `model`, and every argument of its stages.

    An argument that a stage leaves out, since it came after the record, has its default; one that several stages have
    differently stands as both with a + between.
    """
    found: dict[str, list[str]] = {}
    for stage in record.stages:
        fields = METHODS.get(stage.method).arguments() if stage.method in METHODS.names() else {}
        defaults = {name: field.default for name, field in fields.items() if not field.is_required()}
        for name, argument in {**defaults, **stage.arguments}.items():
            found.setdefault(name, []).append(said(argument))
    arguments = {name: "+".join(dict.fromkeys(values)) for name, values in found.items()}
    whole = {"recipe": record.recipe_base, "task": record.task, "seed": str(record.seed), "model": record.model}
    return {**arguments, **whole}


def said(argument: Any) -> str:
    """One argument as text: 0.5, true, query+key, none."""
    if argument is None:
        return NONE
    if isinstance(argument, bool):
        return str(argument).lower()
    if isinstance(argument, list | tuple):
        return "+".join(map(str, argument)) or NONE
    return f"{argument:g}" if isinstance(argument, float) else str(argument)
