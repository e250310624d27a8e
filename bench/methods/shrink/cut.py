"""Taking what adds nothing out of a model, in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from bench.base.errors import MethodError
from bench.layers.cutting import through_columns, with_columns, with_rows, zero_columns
from bench.layers.empty import EmptyAttention
from bench.layers.layer import Factors
from bench.layers.sharing import replace_everywhere
from bench.methods.shrink.groups import Group, groups
from bench.methods.shrink.removable import dead_units

if TYPE_CHECKING:
    from bench.models.adapter import Adapter


class Cut(NamedTuple):
    """What went out of the stored layers."""

    heads: int
    neurons: int
    attentions: int
    mlps: int

    def __str__(self) -> str:
        counts = [f"{count} {what}" for what, count in zip(self._fields, self, strict=True) if count]
        return ", ".join(counts) or "nothing (no unit is fully masked)"


def cut(model: nn.Module, adapter: Adapter) -> Cut:
    """Remove every removable head and neuron of `model`, in place; shared weights stay shared.

    An attention that loses its last head and an MLP that loses its last neuron are among `attentions` and `mlps` too.

    Raises:
        MethodError: a matrix that is neither dense nor factorized in floating point, or one that shares weights with
            matrices that are to stay.
    """
    heads = neurons = attentions = mlps = 0
    with torch.no_grad():
        for group in groups(model, adapter):
            dead = dead_units(group)
            gone, emptied = int(dead.sum()), bool(dead.all())
            if not gone:
                continue
            if not group.whole:
                raise MethodError(
                    f"shrink: {group.name} shares some of its weights with other matrices, which would also lose "
                    f"these heads or neurons. Share whole layers or whole parts, or shrink before sharing."
                )
            _cut_group(model, adapter, group, dead)
            if group.part == "ffn":
                neurons, mlps = neurons + gone, mlps + emptied
            else:
                heads, attentions = heads + gone, attentions + emptied
    return Cut(heads, neurons, attentions, mlps)


def _cut_group(model: nn.Module, adapter: Adapter, group: Group, dead: Tensor) -> None:
    stays = (~dead).repeat_interleave(group.width)
    kept = stays.nonzero().flatten()
    given, taken = group.given(), group.taken()
    added = _constant(group, given[0], taken, dead) if group.part == "ffn" and not group.gated else None
    replace_everywhere(model, group.taker, with_columns(taken, kept, added))
    if len(kept) or group.part == "ffn":
        for module, giver, folds in zip(group.givers, given, group.folds, strict=True):
            replace_everywhere(model, module, with_rows(giver, stays.repeat(folds).nonzero().flatten()))
        for holder in group.holders:
            narrowed = adapter.narrowed(holder.module, (~dead).nonzero().flatten().tolist())
            if narrowed is not holder.module:
                replace_everywhere(model, holder.module, narrowed)
        return
    for holder in group.holders:
        empty = EmptyAttention.in_place_of(
            holder.module, len(taken.left), output=holder.output, tail=adapter.attention_tail, cross=holder.cross
        )
        replace_everywhere(model, holder.module, empty)


def _constant(group: Group, given: Factors, taken: Factors, dead: Tensor) -> Tensor | None:
    """What the neurons with zero rows add to every output, [width]; None if it is nothing."""
    folded = (dead & ~zero_columns(taken)).nonzero().flatten()
    if not len(folded):
        return None
    if group.activation is None:
        raise MethodError(
            f"shrink: the adapter gives no activation for {group.name}, so the output of its constant neurons is "
            f"unknown. Add an `activation` to the adapter."
        )
    bias = taken.left.new_zeros(len(folded)) if given.bias is None else given.bias[folded]
    added = through_columns(taken, folded, group.activation(bias))
    return added if bool(added.any()) else None
