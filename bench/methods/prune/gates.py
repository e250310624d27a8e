"""Saliencies that are learned: scores or gates that train with the weights and stand in front of them meanwhile."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from bench.base.errors import MethodError
from bench.methods.prune.saliency import Saliency, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.prune import Prune
    from bench.methods.prune.run import Pruning
    from bench.methods.prune.site import Site


class Learned(Saliency):
    """A saliency whose scores train with the weights; only the schedule "gradual" can use it."""

    rate: float = Field(
        1e-2, gt=0, description="learning rate of the scores or gates; without effect on movement's scores from 0"
    )

    def fits(self, method: Prune) -> None:
        """See `Choice`."""
        name, schedule = self.called, method.schedule.called
        if schedule != "gradual":
            raise ValueError(f"saliency '{name}' is learned: give schedule 'gradual', found '{schedule}'")
        if not method.budget:
            raise ValueError(f"saliency '{name}' is learned, and a budget of 0 trains nothing")
        super().fits(method)

    @abstractmethod
    def train(self, pruning: Pruning, curve: Callable[[int, int], float], *, settle: float) -> None:
        """Train weights and scores together for the whole budget, then leave the final masks in `pruning`.

        Args:
            pruning: what is pruned; afterwards its model has no gate left, and what is gone is at zero.
            curve: how far pruning has come at a step of so many, from 0 to 1.
            settle: share of the steps, at the end, in which the curve is at 1.
        """

    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """Raises `MethodError`: there are no scores before training."""
        raise MethodError("prune: this saliency is learned while the model trains. Give schedule 'gradual'.")
