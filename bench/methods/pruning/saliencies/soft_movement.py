"""Soft movement pruning: a learned score a unit, and a threshold that rises while a penalty pushes scores below it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from bench.methods.pruning.gates import Learned
from bench.methods.pruning.saliency import SALIENCIES

if TYPE_CHECKING:
    from bench.methods.pruning.run import Pruning


class SoftMovement(Learned):
    """A unit stays where sigmoid(S) > tau (Sanh et al. 2020, arXiv:2005.07683, §4; Lagunas et al. 2021 for blocks).

    tau rises from 0 to `threshold` along the curve; to the loss is added lambda tau_t / tau times the mean over sites
    of mean sigmoid(S), with `penalty_weight` as lambda. Of each site the share `least` stays in any case. How much goes
    depends on lambda. Where `sparsity` is given as well, scores cost nothing in steps in which so many are gone; they
    train for all but `settle_share` of the budget; then exactly so many go, those of lowest score within `scope`,
    and the rest of the budget trains with fixed masks.
    """

    decides: ClassVar[bool] = True

    def train(self, pruning: Pruning, curve: Callable[[int, int], float]) -> None:
        """See `Learned`; tells the sparsity that was reached."""
        from bench.methods.pruning.gated import train_gates
        from bench.methods.pruning.selector import SELECTORS
        from bench.methods.pruning.straight import ThresholdScores

        method = pruning.method
        gates = ThresholdScores(pruning, curve)
        if method.sparsity is None:
            train_gates(pruning, gates)
            pruning.keep(gates.masks(method.threshold))
        else:
            train_gates(pruning, gates, share=1.0 - method.settle_share)
            scores = {name: score.detach() for name, score in gates.scores.items()}
            selector = SELECTORS.get(method.selector or method.scope)
            pruning.keep(selector.select(pruning.sites, scores, method.sparsity))
            if method.settle_share:
                pruning.train(method.settle_share)
        pruning.lab.progress(f"{pruning.sparsity:.1%} of the units are gone", 1.0)


SALIENCIES.register("soft-movement")(SoftMovement())
