"""Replacing one module of a model in every place that holds it."""

from __future__ import annotations

from torch import nn

from bench.base.errors import ModelError


def replace_everywhere(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` into each place of `model` that holds `old`, in place, so that what was shared stays shared.

    Raises `ModelError` if no place below `model` holds it.
    """
    places = [(parent, leaf) for parent in model.modules() for leaf, child in parent._modules.items() if child is old]
    if not places:
        raise ModelError(f"{type(model).__name__}: does not contain this {type(old).__name__}")
    for parent, leaf in places:
        parent._modules[leaf] = new
