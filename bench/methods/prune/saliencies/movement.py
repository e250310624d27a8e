"""Movement pruning: a learned score a unit, of which the largest stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bench.methods.prune.gates import Learned
from bench.methods.prune.saliencies.magnitude import Magnitude
from bench.methods.prune.saliency import SALIENCIES

if TYPE_CHECKING:
    from torch import Tensor

    from bench.methods.prune.run import Pruning


class Movement(Learned):
    """W' = W * Top(S) with the scores S learned straight through (Sanh et al. 2020, arXiv:2005.07683, §4).

    S starts at 0 and gathers -dL/dW' W, summed over a unit, so that weights that move away from zero stay. At every
    step the selector keeps as many as the curve says; what is masked stays in memory as it is and can come back.

    Only the order of the scores counts, and Adam's steps are in proportion to their rate. Scores that start at 0 are
    therefore in the same order at every `rate`, which then has no effect at all: the models are the same. It has
    one with `start` "magnitude", which is ours and not the paper's: the scores start at |W|, summed over a unit,
    so that what goes at first is what magnitude pruning removes, and the rate says how fast movement takes over.
    """

    start: Literal["zero", "magnitude"] = Field(
        "zero", description="scores start at 0, where rate has no effect, or at |W| summed over a unit"
    )

    def train(self, pruning: Pruning, curve: Callable[[int, int], float], *, settle: float) -> None:
        """See `Learned`."""
        from bench.methods.prune.gated import train_gates
        from bench.methods.prune.straight import TopScores

        gates = TopScores(pruning, curve, self._starts(pruning))
        train_gates(pruning, gates, rate=self.rate)
        pruning.keep(gates.masks(pruning.method.target))

    def _starts(self, pruning: Pruning) -> dict[str, Tensor] | None:
        """Every score before training, by the site's name; None is 0."""
        if self.start == "zero":
            return None
        return Magnitude().scores(pruning.sites, pruning.subject())


SALIENCIES.register("movement")(Movement)
