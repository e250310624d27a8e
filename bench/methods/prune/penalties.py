"""What a penalty is, a price on units that drives them towards zero while they train, and every one there is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.methods.base.choice import Choice, Choices
from bench.methods.prune.arguments import PruneArguments
from bench.methods.prune.site import Site

if TYPE_CHECKING:
    from bench.training.hooks import Hook


class Penalty(Choice):
    """A price on units; fields are its arguments.

    It acts after each step rather than in the objective: a term's gradient passes through Adam's scaling and brings no
    unit to exactly zero.
    """

    weight: float = Field(0.0, ge=0, description="weight of the penalty")

    @override
    def fits(self, method: PruneArguments) -> None:
        if method.delta:
            raise ValueError(
                f"penalty '{self.called}' shrinks the weights, not their change. Leave out delta or penalty"
            )

    @abstractmethod
    def hook(self, sites: Sequence[Site]) -> Hook:
        """What to train with, for the penalty on the units of `sites`."""


PENALTIES: Choices[Penalty] = Choices("penalty", modules=(), group="bench.penalties")


@PENALTIES.register("group-lasso")
class GroupLasso(Penalty):
    """weight * sum over units of ||w_unit||_2 (Narang et al. 2017, arXiv:1711.02782, §3.2), by proximal steps.

    Unlike Yuan and Lin's (2006), the norms are not weighted by unit size: a matrix has blocks of one size.
    The paper adds the term to the loss of plain SGD and needs a threshold to reach zeros. The proximal step of the same
    penalty, taken after the optimizer's step like AdamW's weight decay, reaches zero exactly.
    """

    @override
    def hook(self, sites: Sequence[Site]) -> Hook:
        from bench.methods.prune.proximal import Shrinking

        return Shrinking(sites, self.weight)
