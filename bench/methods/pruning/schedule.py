"""What a schedule is: when units go and what is trained in between."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from bench.methods.pruning.run import Pruning


class Schedule(ABC):
    """Drives one pruning from its start to its final masks; instances hold no state."""

    @abstractmethod
    def run(self, pruning: Pruning) -> None:
        """Score, cut and train until `pruning.method.sparsity` is reached and the budget is spent."""


SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    modules=(
        "bench.methods.pruning.schedules.rounds",
        "bench.methods.pruning.schedules.restore",
        "bench.methods.pruning.schedules.gradual",
        "bench.methods.pruning.schedules.ramp",
        "bench.methods.pruning.schedules.until",
    ),
    group="bench.schedules",
)
