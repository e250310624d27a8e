"""Scores drawn by chance: the control of every saliency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.methods.prune.saliency import SALIENCIES, Saliency, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.site import Site


class Chance(Saliency):
    """A uniform number for each unit, the same for the same seed; which units go is then a random mask."""

    def seeded(self) -> bool:
        """See `Choice`."""
        return True

    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """See `Saliency`."""
        import torch

        draws = torch.Generator().manual_seed(subject.seed)
        return {
            site.name: torch.rand(site.count, generator=draws).to(site.pieces[0].parameter.device) for site in sites
        }


SALIENCIES.register("random")(Chance)
