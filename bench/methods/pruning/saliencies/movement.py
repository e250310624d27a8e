"""Movement pruning: a learned score a unit, of which the largest stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.methods.pruning.gates import Learned
from bench.methods.pruning.saliency import SALIENCIES

if TYPE_CHECKING:
    from bench.methods.pruning.run import Pruning


class Movement(Learned):
    """W' = W * Top(S) with the scores S learned straight through (Sanh et al. 2020, arXiv:2005.07683, §4).

    S starts at 0 and gathers -dL/dW' W, summed over a unit, so that weights that move away from zero stay. At every
    step the selector keeps as many as the curve says; what is masked stays in memory as it is and can come back.
    """

    def train(self, pruning: Pruning, curve: Callable[[int, int], float], *, settle: float) -> None:
        """See `Learned`."""
        from bench.methods.pruning.gated import train_gates
        from bench.methods.pruning.straight import TopScores

        gates = TopScores(pruning, curve)
        train_gates(pruning, gates, rate=self.score_rate)
        pruning.keep(gates.masks(pruning.method.target))


SALIENCIES.register("movement")(Movement)
