"""Prune and train in rounds, with or without putting the survivors back to where they started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bench.methods.prune.schedule import SCHEDULES, Stepwise
from bench.methods.prune.transfer import check_transfer, finder_of

if TYPE_CHECKING:
    from bench.methods.prune.prune import Prune
    from bench.methods.prune.run import Pruning


class Rounds(Stepwise):
    """`rounds` times prune, then train for an equal part of the budget; one round is one-shot pruning.

    The share that stays falls by the same factor in each round ("geometric": Han et al. 2015; Frankle and Carbin
    2019), or the share that is gone rises by the same amount ("linear": Chen et al. 2020). A model that does not start
    from the given weights is trained before its first cut, for one part more. `rewind` puts survivors back to the
    start after each cut, bit for bit (the lottery ticket), or to the start's values in another order, its control.
    With `masks_from` everything but the last training is done on another task, and its masks are put on the start.
    """

    rounds: int = Field(1, ge=1, le=100, description="prune-retrain rounds")
    masks_from: str | None = Field(
        None, description="the task of the suite on which the masks are found; None is the task itself"
    )

    def fits(self, method: Prune) -> None:
        """See `Choice`."""
        if self.masks_from is None:
            return
        check_transfer("masks_from", method)
        if self.rewind == "none":
            raise ValueError("masks_from puts the masks of another task on the start: give a rewind")

    def tasks(self) -> tuple[str, ...]:
        """See `Method`."""
        return () if self.masks_from is None else (self.masks_from,)

    def run(self, pruning: Pruning) -> None:
        """See `Schedule`."""
        method = pruning.method
        begins = method.start != "given" and self.before
        share = 1.0 / (self.rounds + begins)
        rewinds = self.rewind != "none"
        finder = pruning if self.masks_from is None else finder_of(pruning, self.masks_from)
        start = finder.snapshot() if rewinds else {}
        if begins:
            finder.train(share)
        for done in range(1, self.rounds + 1):
            finder.cut(sparsity_after(done, self.rounds, final=method.target, steps=self.steps))
            if rewinds:
                finder.rewind(start, shuffle=self._order(finder, done))
            if done < self.rounds:
                finder.train(share)
        if finder is not pruning:
            pruning.masks = finder.masks
            pruning.rewind(pruning.snapshot(), shuffle=self._order(pruning, self.rounds))
        pruning.train(share)

    def _order(self, pruning: Pruning, done: int) -> int | None:
        """The seed of the order of the control "shuffled" after so many rounds."""
        return pruning.lab.seed + done if self.rewind == "shuffled" else None


def sparsity_after(done: int, rounds: int, *, final: float, steps: str) -> float:
    """The share that is gone after `done` of `rounds` rounds, which reach `final`."""
    if steps == "linear":
        return final * done / rounds
    return 1.0 - float((1.0 - final) ** (done / rounds))


SCHEDULES.register("rounds")(Rounds)
