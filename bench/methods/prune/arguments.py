"""What the choices of a pruning are told about each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bench.methods.base.choice import Choice
from bench.methods.base.terms.table import Terms

Curve = Callable[[int, int], float]  # step and total steps to how far pruning has come, or to the share that is gone


class PruneArguments(Protocol):
    """The arguments of `Prune` that a choice may have to fit."""

    @property
    def sparsity(self) -> float | None:
        """The share of the units to remove, if it was given."""

    @property
    def budget(self) -> float:
        """Epochs as a share of the suite's."""

    @property
    def terms(self) -> Terms:
        """What training minimises."""

    @property
    def start(self) -> str:
        """The weights to begin with."""

    @property
    def delta(self) -> bool:
        """Whether the change from the pretrained weights is pruned."""

    @property
    def unit(self) -> Choice:
        """What is removed as a whole."""

    @property
    def saliency(self) -> Choice:
        """What a unit is worth."""

    @property
    def schedule(self) -> Choice:
        """When units go."""
