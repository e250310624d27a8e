"""Stages and recipe names of older records as they are written now.

Before version 3 the arguments of choices were flat among those of the method. Before version 4 what training minimises
was said by weights of fixed parts in place of a table of terms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class _Flat(NamedTuple):
    """A choice as it was: the plug-in if none was named, and by plug-in what each old argument is called now."""

    default: str | None
    takes: Mapping[str, Mapping[str, str]]


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_GATES = {"score_rate": "rate", **_same("penalty_weight")}
_CONTINUOUS = _same("warmup_share", "settle_share", "every")
_STEPWISE = _same("steps", "rewind", "before")
_BLOCK = {"block": "size"}
_GRANULARITIES = {"groups": {"groups": "count"}, "bucket": {"bucket": "size"}}
_RANGES = {
    "percentile": {"percentile": "percent"},
    "clip": {"clip": "end"},
    "moving-average": {"activation_momentum": "momentum"},
}
_ROUNDED_INPUTS = _same("activation_bits", "activation_grid", "activation_span")

_CHOICES: Mapping[str, Mapping[str, _Flat]] = {
    "prune": {
        "unit": _Flat("weight", {"block": _BLOCK, "hybrid": _BLOCK}),
        "saliency": _Flat(
            "magnitude",
            {
                "magnitude": _same("pooling"),
                "obd": _same("pooling", "examples", "probes"),
                "fisher": _same("pooling", "examples"),
                "gate-gradient": _same("examples"),
                "jacobian": _same("pooling", "examples"),
                "movement": {"score_rate": "rate", "score_start": "start"},
                "soft-movement": {**_GATES, **_same("threshold", "least")},
                "hard-concrete": {
                    **_GATES,
                    **{f"gate_{name}": name for name in ("temperature", "stretch", "start", "groups")},
                },
            },
        ),
        "schedule": _Flat(
            "rounds",
            {
                "rounds": {**_STEPWISE, **_same("rounds", "masks_from")},
                "until": {**_STEPWISE, **_same("step", "floor", "hold_out", "pick")},
                "restore": _same("masked_share"),
                "gradual": {**_CONTINUOUS, **_same("weights_from", "afterwards")},
                "ramp": {**_CONTINUOUS, **_same("ramp_share")},
            },
        ),
        "penalty": _Flat(None, {"group-lasso": {"penalty_weight": "weight"}}),
    },
    "quantize": {
        "scheme": _Flat(
            "dynamic",
            {
                "weights": {**_ROUNDED_INPUTS, **_same("rest", "split", "ternary_share")},
                "operands": {**_ROUNDED_INPUTS, **_same("delay")},
            },
        ),
        "granularity": _Flat("row", _GRANULARITIES),
        "embedding_granularity": _Flat(None, _GRANULARITIES),
        "range": _Flat("min-max", _RANGES),
        "activation_range": _Flat("min-max", _RANGES),
        "allocation": _Flat(
            "constant",
            {
                "hessian": {
                    "choices": "widths",
                    **_same("average_bits", "size_share", "per", "shards", "iterations"),
                }
            },
        ),
    },
    "factorize": {"solver": _Flat("svd", {"block-term": _same("cores", "length")})},
}


def nested(method: str, flat: Mapping[str, Any]) -> dict[str, Any]:
    """The flat arguments of a stage of `method` with a table for each choice that has arguments.

    What belongs to choices that were not made is left out; it had no effect. Arguments of other methods stay as they
    are.
    """
    choices = _CHOICES.get(method, {})
    theirs = {old for choice in choices.values() for takes in choice.takes.values() for old in takes}
    found = {name: value for name, value in flat.items() if name not in theirs}
    for argument, choice in choices.items():
        plugin = flat.get(argument, choice.default)
        taken = {new: flat[old] for old, new in choice.takes.get(plugin or "", {}).items() if old in flat}
        if taken:
            found[argument] = {"name": plugin, **taken}
    return found


def renamed(recipe: str, stages: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """A recipe's name with its arguments as they are written now: `movement[saliency.start=magnitude]`.

    Args:
        recipe: the name as it was, `movement[score_start=magnitude]`.
        stages: method and flat arguments of each stage.
    """
    base, bracket, inside = recipe.partition("[")
    if not bracket:
        return recipe
    listed = list(stages)
    parts = [part.partition("=") for part in re.split(r",(?=[\w.]+=)", inside.removesuffix("]"))]
    return f"{base}[{','.join(f'{_key(key, listed)}={value}' for key, _, value in parts)}]"


def _key(key: str, stages: list[tuple[str, Mapping[str, Any]]]) -> str:
    """One key of a recipe's name, with the choice that it belongs to in front of it, if to any."""
    number, dot, old = key.rpartition(".")
    for method, flat in [stages[int(number) - 1]] if number.isdigit() else stages:
        for argument, choice in _CHOICES.get(method, {}).items():
            plugin = flat.get(argument, choice.default)
            new = choice.takes.get(plugin or "", {}).get(old)
            if new is not None:
                return f"{number}{dot}{argument}.{new}"
    return key


_OBJECTIVE = ("alpha", "temperature", "features", "attention", "feature_terms")
_TRAINED = ("distill", "factorize", "halt", "integer", "layerdrop", "prune", "quantize", "share")
_STUDENT = {"layers": "student.layers", "init": "student.weights", "temperature": "terms.logits.divergence.temperature"}


def termed(method: str, old: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a stage before version 4 with a table of terms, and for `distill` with a student."""
    if method not in _TRAINED:
        return dict(old)
    found = {name: value for name, value in old.items() if name not in _OBJECTIVE}
    if any(name in old for name in _OBJECTIVE):
        found["terms"] = _terms(0.5 if method == "distill" else 0.0, old)
    if method == "distill" and ("layers" in old or "init" in old):
        layers, init = found.pop("layers", None), found.pop("init", "reference")
        weights = "given" if init == "reference" else init
        found["student"] = "same" if layers == "all" else {"name": "layers", "layers": layers, "weights": weights}
    return found


def _terms(usual: float, old: Mapping[str, Any]) -> dict[str, Any]:
    """The terms that the old weights stood for; those of weight 0 are left out."""
    alpha, features = old.get("alpha", usual), old.get("features", 0.0)
    summed = old.get("feature_terms", "mean") == "sum"
    reduce = "sum" if summed else "mean"
    divergence = {"name": "kl", "temperature": old.get("temperature", 2.0)}
    parts: dict[str, dict[str, Any]] = {
        "labels": {"weight": (1.0 - features) * (1.0 - alpha)},
        "logits": {"weight": (1.0 - features) * alpha, "divergence": divergence},
        "states": {"weight": features, "what": {"name": "states", "outputs": not summed}, "reduce": reduce},
        "attention-scores": {"weight": features * old.get("attention", 0.0), "reduce": reduce},
    }
    return {key: part for key, part in parts.items() if part["weight"]}


def rephrased(recipe: str, stages: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """A recipe's name with its arguments as they are written since version 4: `distillation[student.layers=3]`.

    What has no single argument in its place now, such as `alpha`, stays as it was.
    """
    base, bracket, inside = recipe.partition("[")
    if not bracket or "distill" not in [method for method, _ in stages]:
        return recipe
    parts = []
    for part in re.split(r",(?=[\w.]+=)", inside.removesuffix("]")):
        key, _, value = part.partition("=")
        number, dot, old = key.rpartition(".")
        if (old, value) == ("layers", "all"):
            parts.append(f"{number}{dot}student=same")
        else:
            parts.append(f"{number}{dot}{_STUDENT.get(old, old)}={'given' if part == 'init=reference' else value}")
    return f"{base}[{','.join(parts)}]"
