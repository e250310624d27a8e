"""The proximal step of a penalty on the norms of units: shorten each by a fixed length, to zero at most."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.methods.prune.site import Site
from bench.training.hooks import Hook, TrainState


class Shrinking(Hook):
    """Shortens every unit by the learning rate times `weight` after each step."""

    def __init__(self, sites: Sequence[Site], weight: float) -> None:
        self._sites = sites
        self._weight = weight

    def after_step(self, state: TrainState) -> None:
        """Take the proximal step of all units."""
        rate = float(state.optimizer.param_groups[0]["lr"])
        for site in self._sites:
            shrink(site, rate * self._weight)


def shrink(site: Site, length: float) -> None:
    """w <- w max(0, 1 - length / ||w||_2) for every unit of a site, in place: the proximal map of length * ||w||_2.

    A unit with a norm of at most `length` becomes exactly +0.0.
    """
    with torch.no_grad():
        norms = site.pooled({piece.name: piece.parameter for piece in site.pieces}, "l2")
        stays = norms > length
        factors = torch.where(stays, 1.0 - length / norms.clamp_min(length), 0.0) if length else stays.to(norms)
        for piece in site.pieces:
            piece.parameter.mul_(piece.expand(factors)).masked_fill_(~piece.expand(stays), 0.0)
