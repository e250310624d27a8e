"""Dotted keys and values that change a suite or its recipes: which key belongs to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.base.errors import SuiteError
from bench.spec.setting import Setting


def split(
    changes: Mapping[str, Any], *, recipes: Sequence[str], tasks: Sequence[str]
) -> tuple[list[tuple[str, Any]], dict[str, dict[str, Any]]]:
    """Overrides of the suite, and overrides by recipe.

    `training.epochs`, `measuring.pairs` and `max_length` change the setting, `sst2.train_examples` a task (both are the
    first result); `svd.ratio` changes a recipe, a bare `ratio` the one recipe chosen besides `none`.
    Lists are grids: `{"svd.ratio": [0.25, 0.5]}`.

    Raises `SuiteError` for a bare key with several recipes.
    """
    setting: list[tuple[str, Any]] = []
    by_recipe: dict[str, dict[str, Any]] = {}
    compressing = [name for name in recipes if name != "none"]
    for key, value in changes.items():
        owner = next((name for name in compressing if key.startswith(f"{name}.")), None)
        if owner is not None:
            by_recipe.setdefault(owner, {})[key.removeprefix(f"{owner}.")] = value
        elif key.split(".")[0] in (*Setting.model_fields, *tasks):
            setting.append((key, value))
        elif len(compressing) == 1:
            by_recipe.setdefault(compressing[0], {})[key] = value
        else:
            advice = (
                f"To change a recipe, write RECIPE.{key} with one of: {', '.join(compressing)}"
                if compressing
                else "No recipe that compresses was chosen. Choose one with --recipe."
            )
            raise SuiteError(
                f"--set {key}: not a key of the setting ({', '.join(Setting.model_fields)}) or of a task. {advice}"
            )
    return setting, by_recipe
