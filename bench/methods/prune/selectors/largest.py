"""The units of largest score, ranked all together, by class or by site; and the smallest, as a control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.methods.prune.selector import SELECTORS, Selector, group_of

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.site import Site


class Largest(Selector):
    """Exactly the largest stay within each group of sites; round(sparsity * n) of the n units of a group go.

    `group` is what is ranked together, see `group_of`; a `sign` of -1 keeps the smallest, for controls.
    """

    group: ClassVar[str]
    sign: ClassVar[int] = 1

    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """See `Selector`; among equal scores at the threshold the later ones stay."""
        import torch

        groups: dict[str, list[Site]] = {}
        for site in sites:
            groups.setdefault(group_of(site, self.group), []).append(site)
        masks: dict[str, Tensor] = {}
        for group in groups.values():
            joined = torch.cat([self._ranked(scores[site.name]) for site in group])
            parts = torch.split(largest(joined, round(sparsity * len(joined))), [site.count for site in group])
            masks |= {site.name: part for site, part in zip(group, parts, strict=True)}
        return {site.name: masks[site.name] for site in sites}

    def _ranked(self, scores: Tensor) -> Tensor:
        import torch

        if self.sign > 0:
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

    group: ClassVar[str] = "global"


class _Class(Largest):
    """The same share of every class of matrices goes (class-uniform: See et al. 2016, arXiv:1606.09274, §3.2)."""

    group: ClassVar[str] = "class"


class _Layer(Largest):
    """The same share of every matrix, or of every layer's heads or neurons, goes."""

    group: ClassVar[str] = "layer"


class _Smallest(Largest):
    """The units of smallest score stay, all ranked together: the control of `global`."""

    group: ClassVar[str] = "global"
    sign: ClassVar[int] = -1


SELECTORS.register("global")(_Global)
SELECTORS.register("class")(_Class)
SELECTORS.register("layer")(_Layer)
SELECTORS.register("smallest")(_Smallest)
