"""Saliencies that are learned: scores or gates that train with the weights and stand in front of them meanwhile."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.errors import MethodError
from bench.methods.pruning.saliency import Saliency, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.pruning.run import Pruning
    from bench.methods.pruning.site import Site


class Learned(Saliency):
    """A saliency whose scores train with the weights; only the schedule "gradual" can use it.

    `decides` is true where it can tell by itself how much goes, so that a sparsity need not be given.
    """

    decides: ClassVar[bool] = False

    @abstractmethod
    def train(self, pruning: Pruning, curve: Callable[[int, int], float]) -> None:
        """Train weights and scores together for the whole budget, then leave the final masks in `pruning`.

        Args:
            pruning: what is pruned; afterwards its model has no gate left, and what is gone is at zero.
            curve: how far pruning has come at a step of so many, from 0 to 1.
        """

    def scores(self, sites: Sequence[Site], subject: Subject) -> dict[str, Tensor]:
        """Raises `MethodError`: there are no scores before training."""
        raise MethodError("prune: this saliency is learned while the model trains. Give schedule 'gradual'.")
