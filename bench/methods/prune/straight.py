"""Masks from learned scores: the largest ones, or those above a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.methods.prune.gated import StraightThrough
from bench.methods.prune.selectors.largest import largest

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning
    from bench.methods.prune.saliencies.soft_movement import SoftMovement

Curve = Callable[[int, int], float]


class TopScores(StraightThrough):
    """The units of largest score stay; how many go is the curve's share of what is asked for at last.

    Args:
        pruning: what is pruned.
        curve: how far pruning has come at a step of so many, from 0 to 1.
        starts: every score before training, [count] by the site's name; None is 0.
    """

    def __init__(self, pruning: Pruning, curve: Curve, starts: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(pruning.sites, start=0.0)
        for name, values in (starts or {}).items():
            self.scores[name].data.copy_(values)
        self._select = pruning.select
        self._target = pruning.method.target
        self._curve = curve

    def multipliers(self, step: int, total: int) -> dict[str, Tensor]:
        """See `Gates`."""
        return self.masks(self._target * self._curve(step, total))

    def masks(self, sparsity: float) -> dict[str, Tensor]:
        """Which units stay where `sparsity` of them go, bool [count] by site."""
        scores = {name: score.detach() for name, score in self.scores.items()}
        return self._select(scores, sparsity)


class ThresholdScores(StraightThrough):
    """A unit stays where sigmoid(score) > tau, which the curve raises together with the price of scores."""

    def __init__(self, pruning: Pruning, saliency: SoftMovement, curve: Curve) -> None:
        super().__init__(pruning.sites, start=0.0)
        self._threshold = saliency.threshold
        self._least = saliency.least
        self._weight = saliency.penalty_weight
        self._curve = curve
        self._stage = 0.0
        self._wanted = pruning.method.sparsity
        self._gone = 0.0

    def multipliers(self, step: int, total: int) -> dict[str, Tensor]:
        """See `Gates`."""
        self._stage = self._curve(step, total)
        masks = self.masks(self._threshold * self._stage)
        self._gone = 1.0 - float(torch.cat(list(masks.values())).float().mean())
        return masks

    def masks(self, tau: float) -> dict[str, Tensor]:
        """Which units stay at the threshold `tau`, bool [count] by site; of each site at least a few.

        Those few are int(least n) + 1 units, as in the code of both papers.
        """
        bound = math.log(tau / (1.0 - tau)) if tau > 0 else -math.inf
        found = {}
        for name, parameter in self.scores.items():
            score = parameter.detach()
            kept = score > bound
            fewest = min(int(self._least * len(score)) + 1, len(score))
            found[name] = kept if int(kept.sum()) >= fewest else largest(score, len(score) - fewest)
        return found

    def price(self) -> Tensor | None:
        """lambda tau_t / tau times the mean over sites of mean sigmoid(score); None once as much goes as was asked."""
        factor = self._weight * self._stage
        if not factor or (self._wanted is not None and self._gone >= self._wanted):
            return None
        return factor * torch.stack([torch.sigmoid(score).mean() for score in self.scores.values()]).mean()
