"""`--set KEY=VALUE`: which key belongs to the setting, which to a recipe, and what the value is."""

from __future__ import annotations

from typing import Any

from bench.base.errors import SuiteError
from bench.base.schema import toml_value
from bench.spec.setting import Setting


def split(
    assignments: list[str], *, recipes: list[str], tasks: list[str]
) -> tuple[list[tuple[str, Any]], dict[str, dict[str, Any]]]:
    """Overrides of the suite, and overrides by recipe.

    `training.epochs=1`, `measuring.pairs=20` and `max_length=64` change the setting, `sst2.train_examples=5000` a task
    (both are the first result); `magnitude-pruning.sparsity=0.9` changes a recipe, a bare `sparsity=0.9` the one recipe
    chosen besides `none`. Lists are grids: `svd.ratio=[0.25,0.5]`.

    Raises `SuiteError` for an assignment without `=` or a bare key with several recipes.
    """
    setting: list[tuple[str, Any]] = []
    by_recipe: dict[str, dict[str, Any]] = {}
    compressing = [name for name in recipes if name != "none"]
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals or not key:
            raise SuiteError(f"--set {assignment}: expected KEY=VALUE, for example --set training.epochs=1")
        value = toml_value(text.strip())
        owner = next((name for name in compressing if key.startswith(f"{name}.")), None)
        if owner is not None:
            by_recipe.setdefault(owner, {})[key.removeprefix(f"{owner}.")] = value
        elif key.split(".")[0] in (*Setting.model_fields, *tasks):
            setting.append((key, value))
        elif len(compressing) == 1:
            by_recipe.setdefault(compressing[0], {})[key] = value
        else:
            raise SuiteError(
                f"--set {key}: no key of the setting ({', '.join(Setting.model_fields)}), of a task or of a recipe. "
                f"Write RECIPE.{key} with one of: {', '.join(compressing) or 'no recipe was chosen'}"
            )
    return setting, by_recipe
