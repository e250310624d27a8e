"""A model with the head of another one: what was learned below the head stays, the head itself is new."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from bench.models.embedding import POOLING, SIMILARITY
from bench.models.heads import from_config, head_of

# What a configuration says of the head and of nothing else.
_OF_HEAD = ("id2label", "label2id", "problem_type", POOLING, SIMILARITY)


def with_head_of(model: nn.Module, other: nn.Module, *, seed: int) -> nn.Module:
    """A model whose modules below the head are those of `model`, and whose head is a fresh one as `other` has it.

    A pooler counts as part of the head: it is fresh if `model` has none. Modules are taken over and not copied, so
    that stored forms and shared layers stay what they are; `model` is used up.

    Args:
        model: with any head; of any architecture that can have the other's head.
        other: its head's kind and labels are taken, no weights.
        seed: of the fresh weights.

    Returns:
        The model in evaluation mode, on the device of `model`.

    Raises:
        ModelError: the architecture of `model` cannot have this head.
    """
    config: Any = copy.deepcopy(model.config)
    told: Any = other.config
    config.update({key: getattr(told, key) for key in _OF_HEAD if getattr(told, key, None) is not None})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = from_config(config, head_of(other))
    body, place = _body(model), _body(made)
    for name, child in list(body.named_children()):
        if getattr(place, name, None) is not None:
            setattr(place, name, child)
    for name, parameter in list(body.named_parameters(recurse=False)):
        setattr(place, name, parameter)
    return made.float().to(next(model.parameters()).device).eval()


def _body(model: nn.Module) -> nn.Module:
    """The model below the head; a model of embeddings is its own."""
    found = getattr(model, str(getattr(model, "base_model_prefix", "")), model)
    return found if isinstance(found, nn.Module) else model
