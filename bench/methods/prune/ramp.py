"""Pruning while training by a threshold that rises slowly, then faster: for recurrent networks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.methods.prune.arguments import PruneArguments
from bench.methods.prune.saliencies import Magnitude
from bench.methods.prune.schedules import SCHEDULES, Continuous
from bench.methods.prune.selectors import group_of

if TYPE_CHECKING:
    from torch import nn

    from bench.methods.prune.run import Pruning
    from bench.methods.prune.site import Site


@SCHEDULES.register("ramp")
class Ramp(Continuous):
    """Every `every` steps, permanently remove the units whose largest |w| is below a threshold (Narang et al. 2017).

    The threshold rises from `warmup_share` of the steps on, faster from `ramp_share` on, and stops `settle_share` of
    them before the end (arXiv:1704.05119, Alg. 1 and eq. 1). It ends at q, the quantile `sparsity` of |w| of the dense
    trained model: the given one, or the reference if training starts from others. There is one q for all weights,
    per class of matrices or per matrix, as set by `scope`. The final sparsity is near the requested one if
    the weights are then distributed like the dense model's. For units of n weights the threshold is n^(1/4) times as
    high (block pruning: Narang et al. 2017, arXiv:1711.02782, §3.1).
    """

    ramp_share: float = Field(0.25, gt=0, lt=1, description="share of the steps before the threshold rises faster")

    @override
    def fits(self, method: PruneArguments) -> None:
        saliency = method.saliency
        largest = isinstance(saliency, Magnitude) and (method.unit.called == "weight" or saliency.pooling == "max")
        if not largest or method.delta:
            raise ValueError(
                "schedule 'ramp' compares |w| with a threshold. It needs saliency 'magnitude', pooling 'max' for "
                "units larger than a weight, and no delta"
            )
        if not method.budget:
            raise ValueError("schedule 'ramp' prunes while training, but a budget of 0 trains nothing")
        if not self.warmup_share <= self.ramp_share <= 1 - self.settle_share:
            raise ValueError(
                "ramp_share must be between warmup_share (start of the ramp) and 1 - settle_share (its end)"
            )

    @override
    def run(self, pruning: Pruning) -> None:
        from bench.methods.prune.cutting import Rising

        shares = (self.warmup_share, self.ramp_share, 1.0 - self.settle_share)
        rising = Rising(pruning, ends(pruning), shares=shares, every=self.every)
        pruning.train(1.0, hooks=[rising], masked=False)
        pruning.apply()


def ends(pruning: Pruning) -> dict[str, float]:
    """Where the threshold of each site ends, by the site's name."""
    import torch

    groups: dict[str, list[Site]] = {}
    for site in pruning.sites:
        groups.setdefault(group_of(site, pruning.method.scope), []).append(site)
    dense = _dense(pruning)
    found = {}
    for sites in groups.values():
        names = sorted({piece.name for site in sites for piece in site.pieces})
        sizes = torch.cat([dense[name].detach().abs().flatten() for name in names])
        rank = round(pruning.method.target * len(sizes))
        q = float(sizes.kthvalue(rank).values) if rank else 0.0
        for site in sites:
            elements = sum(math.prod(piece.cell) for piece in site.pieces)
            found[site.name] = q * elements**0.25
    return found


def _dense(pruning: Pruning) -> dict[str, nn.Parameter]:
    """The trained dense weights by name, of every parameter that is pruned."""
    if pruning.method.start == "given":
        return pruning.parameters
    reference = dict(pruning.lab.reference.named_parameters(remove_duplicate=False))
    return {name: reference[name] for name in pruning.parameters}
