"""What a selector is, from scores to masks, and every one there is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Choice, Choices
from bench.methods.prune.site import Site

if TYPE_CHECKING:
    from torch import Tensor


class Selector(Choice):
    """Decides which units stay; fields are its arguments."""

    @abstractmethod
    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """Masks over units by site, bool [count], True if the unit stays.

        Units with a score of -inf are already removed and never stay.

        Args:
            sites: what is pruned together.
            scores: one score a unit, by the site's name.
            sparsity: share of all units to remove, in [0, 1].
        """


def group_of(site: Site, scope: str) -> str:
    """What is ranked or measured together with a site: "global" everything, "class" its kind, "layer" only itself."""
    return {"global": "", "class": site.kind, "layer": site.name}[scope]


SELECTORS: Choices[Selector] = Choices("selector", modules=(), group="bench.selectors")


class Largest(Selector):
    """Exactly the largest stay within each group of sites; round(sparsity * n) of the n units of a group go.

    `group` is what is ranked together, see `group_of`; a `sign` of -1 keeps the smallest, for controls.
    """

    group: ClassVar[str]
    sign: ClassVar[int] = 1

    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """Among equal scores at the threshold the later ones stay."""
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


@SELECTORS.register("global")
class GlobalLargest(Largest):
    """Keep the units of largest score, ranked globally (class-blind: See et al. 2016, arXiv:1606.09274, §3.2)."""

    group: ClassVar[str] = "global"


@SELECTORS.register("class")
class ClassLargest(Largest):
    """Remove the same share of every class of matrices (class-uniform: See et al. 2016, arXiv:1606.09274, §3.2)."""

    group: ClassVar[str] = "class"


@SELECTORS.register("layer")
class LayerLargest(Largest):
    """Remove the same share of every matrix, or of every layer's heads or neurons."""

    group: ClassVar[str] = "layer"


@SELECTORS.register("smallest")
class Smallest(Largest):
    """Keep the units of smallest score, ranked globally: the control of `global`."""

    group: ClassVar[str] = "global"
    sign: ClassVar[int] = -1


@SELECTORS.register("deviation")
class Deviation(Selector):
    """Remove units with a score below L sigma, sigma the standard deviation of the weights of their group.

    The one factor L is the quantile of score / sigma that removes the requested share of all units, so the thresholds
    of groups are proportional to their deviations. A group of equal weights has deviation 0, which raises a
    `MethodError`. A group is all sites of a kind (class-distribution: See et al. 2016, arXiv:1606.09274, §3.2).
    """

    group: ClassVar[str] = "class"

    @override
    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        import torch

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
            raise MethodError(
                f"prune: all weights of the {scope} '{group}' are equal, so their standard deviation is 0"
            )
    return found


@SELECTORS.register("layer-deviation")
class LayerDeviation(Deviation):
    """Like `deviation`, with each site as its own group (Han et al. 2015, arXiv:1506.02626, §4, one factor for all)."""

    group: ClassVar[str] = "layer"


@SELECTORS.register("2:4")
class TwoToFour(Selector):
    """Keep the two largest of every four neighbours along the input (Mishra et al. 2021, arXiv:2104.08378, §3).

    The units must be single weights, the rows a multiple of four long and the sparsity a half.
    """

    def select(self, sites: Sequence[Site], scores: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
        """Raises `MethodError` for other units, other lengths or another sparsity."""
        import torch

        if sparsity != 0.5:
            raise MethodError(f"prune: 2:4 removes half of the weights, found sparsity {sparsity}. Give 0.5.")
        masks: dict[str, Tensor] = {}
        for site in sites:
            width = site.pieces[0].parameter.shape[-1]
            if len(site.pieces) > 1 or site.pieces[0].cell != (1, 1) or width % 4:
                raise MethodError(
                    f"prune: {site.name}: 2:4 needs unit 'weight' and rows whose length is a multiple of four, found "
                    f"rows of "
                    f"{width} with units of {site.pieces[0].cell}. Give unit 'weight' and other targets."
                )
            fours = scores[site.name].view(-1, 4)
            kept = torch.zeros_like(fours, dtype=torch.bool)
            masks[site.name] = kept.scatter_(1, fours.topk(2, dim=1).indices, True).view(-1)
        return masks
