"""The arguments that every method with training has: its budget, and the terms of what it minimises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field, field_validator
from typing_extensions import override

from bench.methods.base.method import Lab, Method
from bench.methods.base.terms.table import Terms

if TYPE_CHECKING:
    from torch import nn

    from bench.training.hooks import Hook
    from bench.training.objective import Term
    from bench.training.terms.guidance import Focus, Guidance
    from bench.training.terms.teacher import Teacher


class TrainedMethod(Method):
    """A method with its own training budget, given relative to the suite's so that recipes fit every suite."""

    budget: float = Field(1.0, ge=0, le=100, description="epochs as a share of the suite's; 0 means no training")
    learning_rate: float | None = Field(None, gt=0, le=1, description="peak learning rate; None takes the suite's")
    terms: Terms = Field(
        default_factory=lambda: Terms.made({"labels": 1.0}),
        description="what training minimises: a weighted sum of terms, see docs/distillation.md",
    )

    @field_validator("terms")
    @classmethod
    def _something_is_minimised(cls, terms: Terms) -> Terms:
        if not terms.working:
            raise ValueError("every term has weight 0. Give one of them a weight, such as labels = 1.0")
        return terms

    def seeded(self) -> bool:
        """Without a budget nothing is trained."""
        return self.budget > 0

    @override
    def trains(self) -> bool:
        return self.budget > 0

    def tune(
        self,
        model: nn.Module,
        lab: Lab,
        *,
        share: float = 1.0,
        hooks: Sequence[Hook] = (),
        terms: Sequence[tuple[float, Term]] = (),
        teachers: Sequence[Teacher] | None = None,
        focus: Focus | None = None,
    ) -> None:
        """Train `model` in place for `share` of the budget; does nothing if the budget is 0.

        Args:
            model: on any device; it stays on the device of training.
            lab: see `Lab`.
            share: of the budget.
            hooks: called at each moment of the training, before the hook of the terms.
            terms: with their weights, added to those of the table.
            teachers: what the table's terms compare with; None is the frozen reference.
            focus: which layers and outputs of the table's terms count; None is all.
        """
        epochs = lab.plan.epochs * self.budget * share
        if not epochs:
            return
        from bench.training.objective import Objective, TaskTerm

        working = self.terms.working.values()
        made: list[tuple[float, Term]] = []
        if focus is None and all(term.plain for term in working):
            made += [(term.weight, TaskTerm()) for term in working]
        else:
            guidance = self.guidance(lab, teachers, focus=focus)
            made.append((1.0, guidance))
            hooks = [*hooks, guidance]
        lab.train(
            model,
            epochs=epochs,
            learning_rate=self.learning_rate,
            objective=Objective(terms=(*made, *terms)),
            hooks=hooks,
        )

    def guidance(self, lab: Lab, teachers: Sequence[Teacher] | None = None, *, focus: Focus | None = None) -> Guidance:
        """The terms of the table as what computes them; see `tune`."""
        from bench.training.terms.guidance import EVERYTHING, Guidance
        from bench.training.terms.teacher import Teacher

        if teachers is None:
            teachers = (Teacher(frozen_reference(lab)),) if self.terms.taught else ()
        goals = [term.goal(lab) for term in self.terms.working.values()]
        return Guidance(goals, teachers, seed=lab.seed, focus=focus or EVERYTHING)


def frozen_reference(lab: Lab) -> nn.Module:
    """The reference in evaluation mode on the device of training; a copy only if it is not there already.

    A teacher is run without gradients and never changed, so the reference itself can be it, which saves a whole model.
    """
    import torch

    from bench.models.modules import copy_model

    reference = lab.reference
    there = all(tensor.device.type == torch.device(lab.device).type for tensor in reference.parameters())
    quiet = not any(module.training for module in reference.modules())
    return reference if there and quiet else copy_model(reference).to(lab.device).eval()
