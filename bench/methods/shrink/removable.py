"""Which attention heads and MLP neurons of a model add nothing, or nothing but a constant, whatever the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.layers.cutting import zero_columns, zero_rows
from bench.methods.shrink.groups import Group, GroupPart, groups

if TYPE_CHECKING:
    from bench.models.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class Removable:
    """The units of one stored attention or MLP that can go without changing the model's outputs.

    `stack` and `layer` say where it is stored first (a number in the stored list), `name` is the block's qualified name
    with the part. `units` counts the heads (of attention) or neurons (of "ffn") that are there, `dead` are the numbers
    of those that can go.
    """

    stack: str
    layer: int
    part: GroupPart
    name: str
    units: int
    dead: tuple[int, ...]


def removable(model: nn.Module, adapter: Adapter) -> list[Removable]:
    """What can go, for every stored attention and MLP of `model` in stored order.

    See `dead_units`. Raises `MethodError` if a matrix is neither dense nor factorized in floating point.
    """
    found = []
    for group in groups(model, adapter):
        dead = dead_units(group)
        found.append(
            Removable(
                stack=group.stack,
                layer=group.layer,
                part=group.part,
                name=group.name,
                units=len(dead),
                dead=tuple(dead.nonzero().flatten().tolist()),
            )
        )
    return found


def dead_units(group: Group) -> Tensor:
    """Which units can go, bool [units].

    A head: its columns of the output map are all zero, or its rows of the value matrix and its value bias are, so that
    it adds exactly zero. A neuron: its column of the second matrix is all zero, or its row of the first is. In the
    latter case its output is act(bias) for every input, and what that adds is a constant of the layer, which goes into
    the bias of the second matrix; it is zero if bias and act(0) are. A neuron of a gated MLP can go only if it adds
    exactly zero: its gate is zero, or its activation is. Weights are compared with zero exactly.
    """
    with torch.no_grad():
        silent = zero_columns(group.taken())
        *before, last = group.unfolded()
        constant = zero_rows(last)
        if (group.part != "ffn" or group.gated) and last.bias is not None:
            constant &= last.bias == 0
        if group.gated and group.activation is not None:
            (first,) = before
            bias = first.left.new_zeros(len(first.left)) if first.bias is None else first.bias
            constant |= zero_rows(first) & (group.activation(bias) == 0)
        silent, constant = (each.view(-1, group.width).all(dim=1) for each in (silent, constant))
        return silent | constant
