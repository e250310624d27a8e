"""Replacing or adding a module of a model by name, copying a model, its vocabulary tables, and second derivatives."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from bench.base.errors import ModelError
from bench.layers.factorized import FactorizedEmbedding
from bench.models.adapter import adapter_for


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


@contextmanager
def without_cache(model: nn.Module) -> Iterator[None]:
    """While it lasts, no part of `model` fills a cache of keys and values, which training never reads.

    A decoder of transformers numbers a layer's slot in the cache when the layer is made, so one with fewer layers than
    it was made with could not fill it.
    """
    parts: dict[int, Any] = {id(each.config): each.config for each in model.modules() if hasattr(each, "config")}
    cached = [config for config in parts.values() if getattr(config, "use_cache", False)]
    for config in cached:
        config.use_cache = False
    try:
        yield
    finally:
        for config in cached:
            config.use_cache = True


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


@contextmanager
def differentiable(model: nn.Module, *, evaluating: bool = True) -> Iterator[None]:
    """While it lasts the model can be differentiated as often as one likes, in evaluation mode unless said otherwise.

    Fused attention and LSTM kernels have no second derivative, and cuDNN's LSTM has none at all outside training:
    attention runs torch's plain products, and an LSTM with a hook on its gates computes its time steps one by one.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from bench.models.recurrent.layer import LstmLayer

    training = model.training
    with ExitStack() as open_for_now:
        open_for_now.enter_context(torch.enable_grad())
        open_for_now.enter_context(sdpa_kernel(SDPBackend.MATH))
        for module in model.modules():
            if isinstance(module, LstmLayer):
                handle = module.hidden_gates.register_forward_hook(lambda *_: None)
                open_for_now.callback(handle.remove)
        if evaluating:
            open_for_now.callback(model.train, training)
            model.eval()
        yield


class VocabularyTable(NamedTuple):
    """One stored table: the first name it has, every embedding that holds it, and the softmax that is tied to it."""

    name: str
    embeddings: list[nn.Embedding]
    tied: nn.Linear | None


def vocabulary_tables(model: nn.Module, main: nn.Embedding | FactorizedEmbedding) -> list[VocabularyTable]:
    """Each dense table of the vocabulary, each stored one once, that of `main`, the encoder's, among them if dense."""
    adapter = adapter_for(model)
    softmax = adapter.output_projection(model)
    entries = {main.num_embeddings, *([softmax.out_features] if isinstance(softmax, nn.Linear) else [])}
    shared: dict[int, list[tuple[str, nn.Embedding]]] = {}
    for name, module in adapter.embeddings(model).items():
        # The vocabulary's size tells a word embedding from one of positions or token types.
        words = module.num_embeddings in entries and module.embedding_dim == main.embedding_dim
        if module is main or (type(module) is nn.Embedding and words):
            shared.setdefault(module.weight.data_ptr(), []).append((name, module))
    found = []
    for pointer, places in shared.items():
        tied = softmax if isinstance(softmax, nn.Linear) and softmax.weight.data_ptr() == pointer else None
        once = list({id(module): module for _, module in places}.values())
        found.append(VocabularyTable(places[0][0], once, tied))
    return found
