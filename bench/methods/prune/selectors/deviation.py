"""A threshold for each class or matrix of weights that is the same multiple of its standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.base.errors import MethodError
from bench.methods.prune.selector import SELECTORS, Selector, group_of

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.site import Site


class Deviation(Selector):
    """A unit goes where its score is below L sigma, sigma the standard deviation of the weights of its group.

    The one factor L is the quantile of score / sigma at which the asked share of all units goes, so that the thresholds
    of two groups are as their deviations. Groups whose weights are all alike have no deviation, which is a
    `MethodError`. A group is all sites of a kind (class-distribution: See et al. 2016, arXiv:1606.09274, §3.2).
    """

    group: ClassVar[str] = "class"

    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """See `Selector`."""
        import torch

        from bench.methods.prune.selectors.largest import largest

        sigmas = deviations(sites, self.group)
        joined = torch.cat([scores[site.name] / sigmas[group_of(site, self.group)] for site in sites])
        parts = torch.split(largest(joined, round(sparsity * len(joined))), [site.count for site in sites])
        return {site.name: part for site, part in zip(sites, parts, strict=True)}


def deviations(sites: Sequence[Site], scope: str) -> dict[str, float]:
    """The standard deviation (about the mean, divided by n) of all weights of each group of sites."""
    import torch

    groups: dict[str, list[Tensor]] = {}
    for site in sites:
        weights = (piece.parameter.detach().flatten() for piece in site.pieces)
        groups.setdefault(group_of(site, scope), []).extend(weights)
    found = {group: float(torch.cat(parts).double().std(correction=0)) for group, parts in groups.items()}
    for group, sigma in found.items():
        if not sigma:
            raise MethodError(f"prune: all weights of the {scope} '{group}' are alike, so they have no deviation")
    return found


class LayerDeviation(Deviation):
    """As `deviation`, each site by itself (Han et al. 2015, arXiv:1506.02626, §4, one quality parameter for all)."""

    group: ClassVar[str] = "layer"


SELECTORS.register("deviation")(Deviation)
SELECTORS.register("layer-deviation")(LayerDeviation)
