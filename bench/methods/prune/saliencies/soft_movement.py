"""Soft movement pruning: a learned score a unit, and a threshold that rises while a penalty pushes scores below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bench.methods.prune.gates import Learned
from bench.methods.prune.saliency import SALIENCIES

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning


class SoftMovement(Learned):
    """A unit stays where sigmoid(S) > tau (Sanh et al. 2020, arXiv:2005.07683, §4; Lagunas et al. 2021 for blocks).

    tau rises from 0 to `threshold` along the curve; to the loss is added lambda tau_t / tau times the mean over sites
    of mean sigmoid(S), with `penalty_weight` as lambda. Of each site the share `least` stays in any case. How much goes
    depends on lambda. Where `sparsity` is given as well, scores cost nothing in steps in which so many are gone; they
    train for all but `settle_share` of the budget; then exactly so many go, those of lowest score within `scope`,
    and the rest of the budget trains with fixed masks.
    """

    decides: ClassVar[bool] = True

    threshold: float = Field(0.1, gt=0, lt=1, description="units stay whose sigmoid(score) is above this")
    least: float = Field(0.005, ge=0, lt=1, description="share of each site that stays in any case")
    penalty_weight: float = Field(0.0, ge=0, description="price of the scores")

    def train(self, pruning: Pruning, curve: Callable[[int, int], float], *, settle: float) -> None:
        """See `Learned`; tells the sparsity that was reached."""
        from bench.methods.prune.gated import train_gates
        from bench.methods.prune.straight import ThresholdScores

        sparsity = pruning.method.sparsity
        gates = ThresholdScores(pruning, self, curve)
        if sparsity is None:
            train_gates(pruning, gates, rate=self.rate)
            pruning.keep(gates.masks(self.threshold))
        else:
            train_gates(pruning, gates, rate=self.rate, share=1.0 - settle)
            scores = {name: score.detach() for name, score in gates.scores.items()}
            pruning.keep(pruning.select(scores, sparsity))
            if settle:
                pruning.train(settle)
        pruning.lab.progress(f"{pruning.sparsity:.1%} of the units are gone", 1.0)


SALIENCIES.register("soft-movement")(SoftMovement)
