"""Units that are single elements of every tensor that pretraining has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.methods.prune.unit import UNITS, Unit, Where

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.prune.site import Site


class _Element(Unit):
    """One number of any tensor below the head: embeddings, matrices, biases and norms; `targets` does not apply.

    What diff pruning prunes, the change of the whole pretrained model (Guo et al. 2021, arXiv:2012.07463).
    """

    def sites(self, model: nn.Module, where: Where) -> list[Site]:
        """See `Unit`; one site for each stored tensor that trains."""
        from bench.methods.prune.site import Piece, Site

        prefix = str(getattr(model, "base_model_prefix", ""))
        inside = f"{prefix}." if prefix and hasattr(model, prefix) else ""
        found = []
        for name, parameter in model.named_parameters():
            if name.startswith(inside) and parameter.requires_grad:
                piece = Piece(name=name, parameter=parameter, cell=(1,) * parameter.dim())
                found.append(Site(name=name, kind=name.rpartition(".")[2], pieces=(piece,)))
        return found


UNITS.register("element")(_Element)
