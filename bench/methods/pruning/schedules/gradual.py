"""Pruning while training, along a curve of sparsity over the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.methods.pruning.schedule import SCHEDULES, Continuous

if TYPE_CHECKING:
    from bench.methods.pruning.run import Pruning

Curve = Callable[[int, int], float]  # step and total steps to the share that is gone


class Gradual(Continuous):
    """The share that stays falls from 1 to its final value by a cubic (Zhu and Gupta 2017, arXiv:1710.01878, eq. 1).

    Nothing goes during the first `warmup_share` of the steps and nothing more during the last `settle_share`. A
    computed saliency scores again every `every` steps; one that is learned trains its scores all along.
    """

    def run(self, pruning: Pruning) -> None:
        """See `Schedule`."""
        from bench.methods.pruning.cutting import Cutting
        from bench.methods.pruning.gates import Learned

        warmup, settle = self.warmup_share, self.settle_share
        saliency = pruning.saliency
        if isinstance(saliency, Learned):
            saliency.train(pruning, cubic(1.0, warmup=warmup, settle=settle), settle=settle)
        else:
            target = pruning.method.target
            curve = cubic(target, warmup=warmup, settle=settle)
            pruning.train(1.0, hooks=[Cutting(pruning, curve, every=self.every)], masked=False)
            pruning.cut(target)


def cubic(final: float, *, warmup: float, settle: float) -> Curve:
    """The share gone at `step` of `total`: final (1 - (1 - t)^3), t from 0 after the warm-up to 1 before settling.

    Movement pruning's schedule (Sanh et al. 2020, arXiv:2005.07683, appendix A): half way an eighth of the gap is left.
    """

    def at(step: int, total: int) -> float:
        begin, end = warmup * total, (1.0 - settle) * total
        if step < begin:
            return 0.0
        if step >= end:
            return final
        return final * (1.0 - (1.0 - (step - begin) / (end - begin)) ** 3)

    return at


SCHEDULES.register("gradual")(Gradual)
