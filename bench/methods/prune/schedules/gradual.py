"""Pruning while training, along a curve of sparsity over the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from bench.methods.prune.schedule import SCHEDULES, Continuous
from bench.methods.prune.transfer import carry, check_transfer, finder_of

if TYPE_CHECKING:
    from bench.methods.prune.prune import Prune
    from bench.methods.prune.run import Pruning

Curve = Callable[[int, int], float]  # step and total steps to the share that is gone


class Gradual(Continuous):
    """The share that stays falls from 1 to its final value by a cubic (Zhu and Gupta 2017, arXiv:1710.01878, eq. 1).

    Nothing goes during the first `warmup_share` of the steps and nothing more during the last `settle_share`. A
    computed saliency scores again every `every` steps; one that is learned trains its scores all along.

    With `weights_from` all of that is done on another task. What it ends with comes to this one, weights and masks but
    not the head, and trains here with the masks as they are (Gordon et al. 2020, arXiv:2002.08307, §3).
    """

    weights_from: str | None = Field(
        None, description="the task of the suite on which the weights are pruned; None is the task itself"
    )
    afterwards: float = Field(
        1.0, ge=0, le=100, description="with weights_from: training on this task, in budgets of that on the other"
    )

    def fits(self, method: Prune) -> None:
        """See `Choice`."""
        if self.weights_from is not None:
            check_transfer("weights_from", method)
        elif self.afterwards != type(self).model_fields["afterwards"].default:
            raise ValueError("afterwards is the training that follows weights_from: give that as well")

    def tasks(self) -> tuple[str, ...]:
        """See `Method`."""
        return () if self.weights_from is None else (self.weights_from,)

    def run(self, pruning: Pruning) -> None:
        """See `Schedule`."""
        if self.weights_from is None:
            self._prune(pruning)
            return
        finder = finder_of(pruning, self.weights_from)
        self._prune(finder)
        carry(finder, pruning)
        pruning.train(self.afterwards)

    def _prune(self, pruning: Pruning) -> None:
        from bench.methods.prune.cutting import Cutting
        from bench.methods.prune.gates import Learned

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
