"""Replacing or adding one module of a model by name, and copying a model."""

from __future__ import annotations

import copy

from torch import nn

from bench.base.errors import ModelError


def replace_module(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of the one with the qualified `name`, in place.

    Only this place changes: if the old module is shared, its other places keep it. Raises `ModelError` if
    `model` has no module of that name.
    """
    parent_name, _, leaf = name.rpartition(".")
    try:
        parent = model.get_submodule(parent_name)
        parent.get_submodule(leaf)
    except AttributeError as error:
        raise ModelError(f"{type(model).__name__}: no module named '{name}': {error}") from error
    if not leaf:
        raise ModelError(f"{type(model).__name__}: the model itself has no name, so it cannot be replaced by name")
    parent._modules[leaf] = module


def add_module(model: nn.Module, name: str, module: nn.Module) -> None:
    """Make `module` one more child, by its qualified `name`, of a module of `model`, in place.

    Raises `ModelError` if there is no such parent, or if it has that child already.
    """
    parent_name, _, leaf = name.rpartition(".")
    try:
        parent = model.get_submodule(parent_name)
    except AttributeError as error:
        raise ModelError(f"{type(model).__name__}: no module named '{parent_name}': {error}") from error
    if not leaf or hasattr(parent, leaf):
        raise ModelError(f"{type(model).__name__}: '{name}' is there already, so nothing can be added by that name")
    parent.add_module(leaf, module)


def copy_model(model: nn.Module) -> nn.Module:
    """A copy that shares no memory with `model`; modules and tensors shared inside `model` are shared in the copy."""
    return copy.deepcopy(model)
