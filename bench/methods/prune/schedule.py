"""What a schedule is: when units go and what is trained in between."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from bench.methods.base.choice import Choice, Choices

if TYPE_CHECKING:
    from bench.methods.prune.run import Pruning


class Schedule(Choice):
    """Drives one pruning from its start to its final masks; fields are its arguments."""

    def tasks(self) -> tuple[str, ...]:
        """See `Method`."""
        return ()

    def scores(self) -> bool:
        """See `Method`."""
        return False

    @abstractmethod
    def run(self, pruning: Pruning) -> None:
        """Score, cut and train until `pruning.method.sparsity` is reached and the budget is spent."""


class Stepwise(Schedule):
    """Cuts several times, between trainings or without any."""

    steps: Literal["geometric", "linear"] = Field(
        "geometric", description="each cut takes a share of what is left, or of all units"
    )
    rewind: Literal["none", "start", "shuffled"] = Field(
        "none", description="put survivors back to the start, or to its values in another order (control)"
    )
    before: bool = Field(
        True, description="train a model that does not start from the given weights before its first cut"
    )

    def seeded(self) -> bool:
        """See `Choice`; the other order is drawn."""
        return self.rewind == "shuffled"


class Continuous(Schedule):
    """Cuts while the model trains."""

    warmup_share: float = Field(0.1, ge=0, lt=1, description="share of the steps before anything goes")
    settle_share: float = Field(0.2, ge=0, lt=1, description="share of the steps after the last cut")
    every: int = Field(10, ge=1, description="steps between two cuts")

    @model_validator(mode="after")
    def _a_step_is_left(self) -> Continuous:
        if self.warmup_share + self.settle_share >= 1:
            raise ValueError("warmup_share and settle_share leave no step to prune in; their sum must be below 1")
        return self


SCHEDULES: Choices[Schedule] = Choices(
    "schedule",
    modules=(
        "bench.methods.prune.schedules.rounds",
        "bench.methods.prune.schedules.restore",
        "bench.methods.prune.schedules.gradual",
        "bench.methods.prune.schedules.ramp",
        "bench.methods.prune.schedules.until",
    ),
    group="bench.schedules",
)
