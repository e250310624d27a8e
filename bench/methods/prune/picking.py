"""Good, random and bad units of equal number, from what pruning step by step has told of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from bench.methods.prune.site import Site


class Worth:
    """What each unit was worth: the later it went the more, and among those of one step by their scores then."""

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self._step = 0
        self._left = {name: torch.full(mask.shape, torch.inf, device=mask.device) for name, mask in masks.items()}
        self._score = {name: torch.zeros(mask.shape, device=mask.device) for name, mask in masks.items()}

    def scored(self, scores: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
        """Remember the scores of the units that are still there."""
        for name, mask in masks.items():
            self._score[name] = torch.where(mask, scores[name].to(self._score[name].dtype), self._score[name])

    def removed(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        """Remember that the units that are in `before` and not in `after` went in this step."""
        self._step += 1
        for name, mask in before.items():
            self._left[name][mask & ~after[name]] = self._step

    def order(self, names: Sequence[str]) -> Tensor:
        """Places of the units of these sites, one site after the other, from least to most worth."""
        by_score = torch.cat([self._score[name] for name in names]).argsort(stable=True)
        left = torch.cat([self._left[name] for name in names])[by_score]
        return by_score[left.argsort(stable=True)]


def picked(
    sites: Sequence[Site], good: Mapping[str, Tensor], worth: Worth, *, pick: str, scope: str, seed: int
) -> dict[str, Tensor]:
    """Masks of "good", "random" or "bad" units, as many as `good` has in each group that `scope` ranks together.

    "bad" keeps the units of least worth, so it shares none with "good" if at most half of a group is kept; "random"
    draws without replacement from `seed`.
    """
    if pick == "good":
        return dict(good)
    draws = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {}
    groups: dict[str, list[Site]] = {}
    for site in sites:
        groups.setdefault({"global": "", "class": site.kind, "layer": site.name}[scope], []).append(site)
    for group in groups.values():
        names = [site.name for site in group]
        kept = torch.cat([good[name] for name in names])
        order = worth.order(names) if pick == "bad" else torch.randperm(len(kept), generator=draws)
        mask = torch.zeros_like(kept)
        mask[order[: int(kept.sum())].to(kept.device)] = True
        found |= dict(zip(names, torch.split(mask, [site.count for site in group]), strict=True))
    return found
