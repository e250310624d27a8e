"""What a penalty is: a price on units that drives them towards zero while they train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from bench.methods.pruning.site import Site
    from bench.training.hooks import Hook


class Penalty(ABC):
    """A price on units; instances hold no state.

    It acts after each step rather than in the objective: a term's gradient passes through Adam's scaling and brings no
    unit to exactly zero.
    """

    @abstractmethod
    def hook(self, sites: Sequence[Site], weight: float) -> Hook:
        """What to train with, for a penalty of `weight` on the units of `sites`."""


PENALTIES: Registry[Penalty] = Registry(
    "penalty", modules=("bench.methods.pruning.penalties.group_lasso",), group="bench.penalties"
)
