"""One block of a layer: where it is stored, and which of its modules does what."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.models.roles import Role

if TYPE_CHECKING:
    from torch import nn


class LayerBlock(NamedTuple):
    """What repeats along a stack: a layer, or one of several inside a stored layer.

    `stack` and `layer` say where it is stored (a number in the stored list), `name` is its qualified name, and `names`
    are its matrices by role, by their names below `module`.
    """

    stack: str
    layer: int
    name: str
    module: nn.Module
    names: dict[Role, str]
