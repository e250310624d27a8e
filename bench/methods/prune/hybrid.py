"""Blocks in attention and whole neurons in feed-forward parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from bench.base.errors import MethodError
from bench.methods.prune.structural import Neuron
from bench.methods.prune.unit import UNITS, Block, Sided, Where

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.base.roles import Target
    from bench.methods.prune.site import Site


class _Hybrid(Sided):
    """Rectangles of `size` in every attention matrix, and feed-forward neurons (Lagunas et al. 2021, "hybrid").

    As in huggingface/nn_pruning with the dense method "1d_alt": the row of a neuron in the first matrix, its bias and
    its column in the second have one score together, and a mask acts at all of them. Gates between 0 and 1 would count
    twice there, so the unit is for masks.
    """

    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        """See `Unit`; raises `MethodError` where `targets` are given, or where a model lacks one of the two parts."""
        from bench.models.adapter import adapter_for

        if where.targets:
            raise MethodError("prune: unit 'hybrid' is for attention and feed-forward parts together; give no targets")
        roles = [role for role in adapter_for(model).roles_of(model) if role not in ("ffn_in", "ffn_out", "softmax")]
        attention = replace(where, targets=tuple(cast("list[Target]", roles)))
        blocks = Block(size=self.size).sites(model, attention)
        neurons = [
            replace(site, pieces=tuple(replace(piece, acts=True) for piece in site.pieces))
            for site in Neuron().sites(model, where)
        ]
        return [*blocks, *neurons]


UNITS.register("hybrid")(_Hybrid)
