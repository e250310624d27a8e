"""Two of every four weights in a row, the pattern of sparse tensor cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.base.errors import MethodError
from bench.methods.prune.selector import SELECTORS, Selector

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.site import Site


class TwoToFour(Selector):
    """The two largest of each four neighbours along the input stay (Mishra et al. 2021, arXiv:2104.08378, §3).

    The units must be single weights, the rows a multiple of four long and the sparsity a half.
    """

    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """See `Selector`; raises `MethodError` for other units, other lengths or another sparsity."""
        import torch

        if sparsity != 0.5:
            raise MethodError(f"prune: 2:4 removes half of the weights, found sparsity {sparsity}. Give 0.5.")
        masks: dict[str, Tensor] = {}
        for site in sites:
            width = site.pieces[0].parameter.shape[-1]
            if len(site.pieces) > 1 or site.pieces[0].cell != (1, 1) or width % 4:
                raise MethodError(
                    f"prune: {site.name}: 2:4 is for single weights in rows of a multiple of four, found rows of "
                    f"{width} with units of {site.pieces[0].cell}. Give unit 'weight' and other targets."
                )
            fours = scores[site.name].view(-1, 4)
            kept = torch.zeros_like(fours, dtype=torch.bool)
            masks[site.name] = kept.scatter_(1, fours.topk(2, dim=1).indices, True).view(-1)
        return masks


SELECTORS.register("2:4")(TwoToFour)
