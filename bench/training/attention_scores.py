"""Matching attention scores: what a student's queries and keys make of each other, against a teacher's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.models.adapter import adapter_for


class ScoreMask(NamedTuple):
    """Which scores count: the inputs that say which queries and which keys are real, and whether only earlier ones."""

    queries: str
    keys: str
    causal: bool


class AttentionProjections(NamedTuple):
    """One run of one attention: `query` [batch, n, heads * width] and `key` [batch, m, heads * width] as they came."""

    query: Tensor
    key: Tensor
    width: int
    seen: ScoreMask

    @property
    def heads(self) -> int:
        """Heads that are there; those that were removed have no rows."""
        return self.query.shape[-1] // self.width

    def dot_products(self) -> Tensor:
        """q k^T / sqrt(width) before the mask and the softmax, [batch, heads, n, m]."""
        query, key = (
            side.float().reshape(*side.shape[:-1], self.heads, self.width).transpose(1, 2)
            for side in (self.query, self.key)
        )
        return torch.matmul(query, key.transpose(2, 3)) / math.sqrt(self.width)


class HeardAttention:
    """What every attention of a model's last run made its scores of, in the order in which they ran.

    Hooks are on the query and key projections from `open` to `close`, so that no kernel of attention has to give its
    scores away; those of a layer that runs in several positions are heard once for each.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._handles: list[Any] = []
        self._half: dict[str, Tensor] = {}
        self.runs: list[AttentionProjections] = []

    def open(self) -> None:
        """Start recording, with nothing recorded yet; raises `MethodError` for a model without attention."""
        self.runs.clear()
        projections = _projections(self._model)
        if not projections:
            raise MethodError(f"{type(self._model).__name__} has no attention whose scores could be distilled")
        for module, (side, width, seen) in projections.items():
            self._handles.append(module.register_forward_hook(self._hears(side, width, seen)))

    def close(self) -> None:
        """Stop recording and discard what was recorded."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._half.clear()
        self.runs.clear()

    def _hears(self, side: str, width: int, seen: ScoreMask) -> Callable[[nn.Module, Any, Tensor], None]:
        """Keeps a projection; an attention is heard once its other half has come, before any other attention runs."""

        def keep(module: nn.Module, inputs: Any, outputs: Tensor) -> None:
            self._half[side] = outputs
            if len(self._half) == 2:
                self.runs.append(AttentionProjections(self._half["query"], self._half["key"], width, seen))
                self._half.clear()

        return keep


def score_errors(student: HeardAttention, teacher: HeardAttention, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """The mean squared difference of each attention's scores, over pairs of real tokens that may see each other.

    One of the terms of TernaryBERT (Zhang et al. 2020, arXiv:2009.12812). Its code counts pairs with padding as well:
    as no difference if the key is padding, by their scores if only the query is. Here they do not count.

    Args:
        student: what ran with gradients.
        teacher: of the same form; which scores count is asked of it, since a shared layer cannot tell.
        inputs: of the batch that both ran on.

    Raises `MethodError` if the two differ in depth or heads.
    """
    if len(student.runs) != len(teacher.runs):
        raise MethodError(
            f"the student runs {len(student.runs)} attention modules and its teacher {len(teacher.runs)}, so their "
            f"scores cannot be paired"
        )
    return [_squared(mine, its, inputs) for mine, its in zip(student.runs, teacher.runs, strict=True)]


def _squared(student: AttentionProjections, teacher: AttentionProjections, inputs: Mapping[str, Tensor]) -> Tensor:
    if student.heads != teacher.heads:
        raise MethodError(
            f"an attention module has {student.heads} heads in the student and {teacher.heads} in the teacher, so "
            f"their scores cannot be paired. Use the given model as teacher, or leave out attention."
        )
    squares = (student.dot_products() - teacher.dot_products().detach()).square()
    real = _real(teacher.seen, inputs, squares)
    return (squares * real).sum() / (real.sum() * student.heads)


def _real(seen: ScoreMask, inputs: Mapping[str, Tensor], scores: Tensor) -> Tensor:
    """1 where a query and a key are both real and may see each other, [batch, 1, n, m]."""
    batch, _, queries, keys = scores.shape
    real = scores.new_ones(batch, 1, queries, keys)
    if seen.queries in inputs:
        real = real * inputs[seen.queries].to(real)[:, None, :, None]
    if seen.keys in inputs:
        real = real * inputs[seen.keys].to(real)[:, None, None, :]
    return torch.tril(real) if seen.causal else real


def _projections(model: nn.Module) -> dict[nn.Module, tuple[str, int, ScoreMask]]:
    """Each query and key projection, stored once, with its side, the width of a head, and which scores count."""
    adapter = adapter_for(model)
    stacks = adapter.stacks(model)
    found: dict[nn.Module, tuple[str, int, ScoreMask]] = {}
    for block in adapter.blocks(model):
        own = "decoder_attention_mask" if block.stack == "decoder" and len(stacks) > 1 else "attention_mask"
        places = {
            "query": ("query", ScoreMask(own, own, block.stack == "decoder")),
            "key": ("key", ScoreMask(own, own, block.stack == "decoder")),
            "cross_query": ("query", ScoreMask(own, "attention_mask", False)),
            "cross_key": ("key", ScoreMask(own, "attention_mask", False)),
        }
        for role, (side, seen) in places.items():
            if role in block.names:
                module = block.module.get_submodule(block.names[role])
                found.setdefault(module, (side, adapter.head_width(model, block.stack), seen))
    return found
