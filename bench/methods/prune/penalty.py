"""What a penalty is: a price on units that drives them towards zero while they train."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from bench.methods.prune.prune import Prune
    from bench.methods.prune.site import Site
    from bench.training.hooks import Hook


class Penalty(Choice):
    """A price on units; fields are its arguments.

    It acts after each step rather than in the objective: a term's gradient passes through Adam's scaling and brings no
    unit to exactly zero.
    """

    weight: float = Field(0.0, ge=0, description="weight of the penalty")

    def fits(self, method: Prune) -> None:
        """See `Choice`."""
        if method.delta:
            raise ValueError(f"penalty '{self.called}' shortens weights, not their change: leave out delta or penalty")

    @abstractmethod
    def hook(self, sites: Sequence[Site]) -> Hook:
        """What to train with, for the penalty on the units of `sites`."""


PENALTIES: Choices[Penalty] = Choices(
    "penalty", modules=("bench.methods.prune.penalties.group_lasso",), group="bench.penalties"
)
