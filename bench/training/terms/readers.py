"""What terms compare, made of what was heard of a run."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from bench.base.errors import MethodError
from bench.tasks.features import Batch
from bench.training.terms.divergences import masked
from bench.training.terms.ears import Ears, Place, projections


class Signal(NamedTuple):
    """Vectors [batch, ..., n] with what counts: `real` of the vectors, `allowed` of their entries; None is all.

    With `logits` the vectors are unnormalised: their softmax over the allowed entries is meant.
    """

    values: Tensor
    real: Tensor | None = None
    allowed: Tensor | None = None
    logits: bool = False

    def normalised(self) -> Tensor:
        """The vectors themselves, or the softmax that is meant."""
        if not self.logits:
            return self.values
        found = torch.softmax(masked(self.values, self.allowed), dim=-1)
        return found if self.allowed is None else found * self.allowed.to(found)


class SignalReader(ABC):
    """Reads one thing at a layer of a model."""

    @abstractmethod
    def places(self, ears: Ears, stack: str, layer: int) -> list[tuple[Place, ...]]:
        """What has to be heard at a layer, one tuple for each signal; raises `MethodError` if the model lacks it."""

    @abstractmethod
    def read(self, ears: Ears, places: tuple[Place, ...], batch: Batch) -> Signal:
        """A signal from what was heard at one tuple of `places`."""


class StateReader(SignalReader):
    """Hidden states [batch, length, width], or with `first` those of the first token, [batch, width]."""

    def __init__(self, *, first: bool = False) -> None:
        self._first = first

    @override
    def places(self, ears: Ears, stack: str, layer: int) -> list[tuple[Place, ...]]:
        if self._first and ears.adapter.stacks(ears.model)[0] != "encoder":
            raise MethodError(f"{type(ears.model).__name__} has no encoder, so its first token stands for no text")
        return [(Place(stack, layer),)] if not self._first or stack == "encoder" else []

    @override
    def read(self, ears: Ears, places: tuple[Place, ...], batch: Batch) -> Signal:
        states = ears.at(places[0])
        if self._first:
            return Signal(states[:, 0].float())
        return Signal(states.float(), batch.inputs.get(_mask(ears, places[0].stack)))


class ScoreReader(SignalReader):
    """Attention scores q k^T / sqrt(width) of each head, [batch, heads, queries, keys]."""

    def __init__(self, *, softmax: bool) -> None:
        self._softmax = softmax

    @override
    def places(self, ears: Ears, stack: str, layer: int) -> list[tuple[Place, ...]]:
        there = _projections(ears, stack, layer)
        if there and ears.adapter.positions_in_attention:
            raise MethodError(
                f"attention scores of {type(ears.model).__name__} depend on the distance of two tokens as well, which "
                f"cannot be heard at its projections. Compare relations of queries, keys and values instead."
            )
        pairs = [
            (place, place._replace(part=place.part.replace("query", "key")))
            for place in there
            if place.part in ("query", "cross_query")
        ]
        return [pair for pair in pairs if pair[1] in there] or _lacks(ears)

    @override
    def read(self, ears: Ears, places: tuple[Place, ...], batch: Batch) -> Signal:
        place = places[0]
        width = ears.adapter.head_width(ears.model, place.stack)
        query, key = (_heads(ears.at(each), width) for each in places)
        keys = "attention_mask" if place.part == "cross_query" else _mask(ears, place.stack)
        causal = place.stack == "decoder" and place.part == "query"
        scores = _products(query, key)
        real, allowed = _seen(batch, _mask(ears, place.stack), keys, scores, causal=causal)
        return Signal(scores, real, allowed, logits=self._softmax)


class RelationReader(SignalReader):
    """X X^T / sqrt(d) of the vectors of one role, [batch, relation heads, length, length].

    Args:
        role: "query", "key" or "value" of self-attention.
        heads: relation heads that the joined vectors are split into; None is the model's own heads.
    """

    def __init__(self, role: str, *, heads: int | None = None) -> None:
        self._role = role
        self._count = heads

    @override
    def places(self, ears: Ears, stack: str, layer: int) -> list[tuple[Place, ...]]:
        return [(place,) for place in _projections(ears, stack, layer) if place.part == self._role] or _lacks(ears)

    @override
    def read(self, ears: Ears, places: tuple[Place, ...], batch: Batch) -> Signal:
        (place,) = places
        vectors = ears.at(place)
        width = ears.adapter.head_width(ears.model, place.stack)
        if self._count is not None:
            if vectors.shape[-1] % self._count:
                raise MethodError(
                    f"relations: {vectors.shape[-1]} numbers of {type(ears.model).__name__} cannot be split into "
                    f"{self._count} relation heads. Give heads a divisor of the width of both models."
                )
            width = vectors.shape[-1] // self._count
        split, own = _heads(vectors, width), _mask(ears, place.stack)
        products = _products(split, split)
        real, allowed = _seen(batch, own, own, products, causal=place.stack == "decoder")
        return Signal(products, real, allowed, logits=True)


def _projections(ears: Ears, stack: str, layer: int) -> list[Place]:
    return projections(ears.adapter, ears.model, stack, layer)


def _lacks(ears: Ears) -> list[tuple[Place, ...]]:
    raise MethodError(f"{type(ears.model).__name__} has no attention whose scores could be distilled")


def _mask(ears: Ears, stack: str) -> str:
    """The input that says which tokens of a stack are real."""
    several = len(ears.adapter.stacks(ears.model)) > 1
    return "decoder_attention_mask" if stack == "decoder" and several else "attention_mask"


def _heads(vectors: Tensor, width: int) -> Tensor:
    """[batch, length, heads * width] as [batch, heads, length, width]; heads that were removed have no rows."""
    split = vectors.float().reshape(*vectors.shape[:-1], vectors.shape[-1] // width, width)
    return split.transpose(1, 2)


def _products(query: Tensor, key: Tensor) -> Tensor:
    """q k^T / sqrt(width), [batch, heads, n, m], in float32 also under autocast."""
    with torch.autocast(query.device.type, enabled=False):
        return torch.matmul(query, key.transpose(2, 3)) / math.sqrt(query.shape[-1])


def _seen(
    batch: Batch, queries: str, keys: str, scores: Tensor, *, causal: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Which queries are real, [batch, 1, n], and which keys they may see, [batch, 1, n or 1, m]."""
    real, allowed = batch.inputs.get(queries), batch.inputs.get(keys)
    real = None if real is None else real[:, None, :]
    allowed = None if allowed is None else allowed[:, None, None, :]
    if causal:
        earlier = torch.ones_like(scores[:1, :1], dtype=torch.bool).tril()
        allowed = earlier if allowed is None else allowed.bool() & earlier
    return real, allowed
