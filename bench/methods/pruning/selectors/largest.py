"""The units of largest score, ranked all together, by class or by site; and the smallest, as a control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.methods.pruning.selector import SELECTORS, Selector, group_of

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.pruning.site import Site


class Largest(Selector):
    """Exactly the largest stay within each group of sites; round(sparsity * n) of the n units of a group go.

    Args:
        scope: what is ranked together: "global" everything (class-blind), "class" all sites of one kind
            (class-uniform; See et al. 2016, arXiv:1606.09274, §3.2), "layer" each site by itself.
        sign: -1 keeps the smallest, for controls.
    """

    def __init__(self, scope: str, sign: int = 1) -> None:
        self._scope = scope
        self._sign = sign

    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """See `Selector`; among equal scores at the threshold the later ones stay."""
        import torch

        groups: dict[str, list[Site]] = {}
        for site in sites:
            groups.setdefault(group_of(site, self._scope), []).append(site)
        masks: dict[str, Tensor] = {}
        for group in groups.values():
            joined = torch.cat([self._ranked(scores[site.name]) for site in group])
            parts = torch.split(largest(joined, round(sparsity * len(joined))), [site.count for site in group])
            masks |= {site.name: part for site, part in zip(group, parts, strict=True)}
        return {site.name: masks[site.name] for site in sites}

    def _ranked(self, scores: Tensor) -> Tensor:
        import torch

        if self._sign > 0:
            return scores
        return torch.where(scores.isneginf(), scores, -scores)  # what is gone stays gone in the control too


def largest(scores: Tensor, removed: int) -> Tensor:
    """True at all but the `removed` smallest entries of a vector; among equal ones the later stay."""
    import torch

    if removed <= 0:
        return ~scores.isneginf()
    threshold = scores.kthvalue(min(removed, len(scores))).values
    kept = scores > threshold
    ties = (scores == threshold).nonzero().flatten()
    spare = len(scores) - removed - int(kept.sum())  # ties that still belong to the largest
    kept[ties[len(ties) - spare :]] = True
    return kept & torch.logical_not(scores.isneginf())


class _Global(Largest):
    """The units of largest score stay, all ranked together (class-blind: See et al. 2016, arXiv:1606.09274, §3.2)."""


class _Class(Largest):
    """The same share of every class of matrices goes (class-uniform: See et al. 2016, arXiv:1606.09274, §3.2)."""


class _Layer(Largest):
    """The same share of every matrix, or of every layer's heads or neurons, goes."""


class _Smallest(Largest):
    """The units of smallest score stay, all ranked together: the control of `global`."""


SELECTORS.register("global")(_Global("global"))
SELECTORS.register("class")(_Class("class"))
SELECTORS.register("layer")(_Layer("layer"))
SELECTORS.register("smallest")(_Smallest("global", sign=-1))
