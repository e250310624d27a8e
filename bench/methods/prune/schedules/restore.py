"""Prune, retrain, and bring the removed weights back: pruning for quality, not for size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bench.methods.prune.schedule import SCHEDULES, Schedule

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning


class Restore(Schedule):
    """Cut once and train for `masked_share` of the budget, a half, then unmask and train everything for the rest.

    Restored weights start at zero (Wang et al. 2020, rejuvenation; Han et al. 2017, arXiv:1607.04381, dense-sparse-
    dense). The result is as large as the model that was given.
    """

    masked_share: float = Field(
        0.5, ge=0, lt=1, description="share of the training before the removed weights come back"
    )

    def run(self, pruning: Pruning) -> None:
        """See `Schedule`."""
        masked = self.masked_share
        pruning.cut(pruning.method.target)
        pruning.train(masked)
        pruning.keep({name: mask.fill_(True) for name, mask in pruning.masks.items()})
        pruning.train(1.0 - masked)


SCHEDULES.register("restore")(Restore)
