"""The arguments that every method with training has, and how they change the suite's plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from bench.methods.method import Lab, Method

if TYPE_CHECKING:
    from torch import nn

    from bench.training.hooks import Hook
    from bench.training.objective import Objective


class TunedMethod(Method):
    """A method with a training budget of its own, given relative to the suite's so that recipes fit every suite."""

    budget: float = Field(1.0, ge=0, le=100, description="epochs as a share of the suite's; 0 means no training")
    learning_rate: float | None = Field(None, gt=0, le=1, description="peak learning rate; None is the suite's")

    def tune(self, model: nn.Module, lab: Lab, *, share: float = 1.0, hooks: Sequence[Hook] = ()) -> None:
        """Train `model` in place for `share` of the budget; does nothing where the budget is 0."""
        epochs = lab.plan.epochs * self.budget * share
        if epochs:
            lab.train(
                model,
                epochs=epochs,
                learning_rate=self.learning_rate,
                objective=self.objective(lab),
                hooks=hooks,
            )

    def objective(self, lab: Lab) -> Objective | None:
        """What training minimises; None is the task's own loss."""
        return None


class GuidedMethod(TunedMethod):
    """A method that may train towards the reference's outputs as well as towards the labels."""

    alpha: float = Field(0.0, ge=0, le=1, description="weight of the distillation loss; the task's loss has 1 - alpha")
    temperature: float = Field(2.0, gt=0, le=1000, description="of the distillation loss")

    def objective(self, lab: Lab) -> Objective | None:
        """The task's loss, and with `alpha` above 0 the divergence from a frozen copy of the reference."""
        if not self.alpha:
            return None
        from bench.models.modules import copy_model
        from bench.training.objective import distillation

        teacher = copy_model(lab.reference).to(lab.device).eval()
        return distillation(teacher, temperature=self.temperature, alpha=self.alpha)
