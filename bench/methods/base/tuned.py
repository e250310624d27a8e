"""The arguments that every method with training has, and how they change the suite's plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from bench.methods.base.method import Lab, Method

if TYPE_CHECKING:
    from torch import nn

    from bench.training.features import FeatureMatching
    from bench.training.hooks import Hook
    from bench.training.objective import Objective, Term
    from bench.training.terms.teacher import Teacher


class TunedMethod(Method):
    """A method with its own training budget, given relative to the suite's so that recipes fit every suite."""

    budget: float = Field(1.0, ge=0, le=100, description="epochs as a share of the suite's; 0 means no training")
    learning_rate: float | None = Field(None, gt=0, le=1, description="peak learning rate; None takes the suite's")

    def seeded(self) -> bool:
        """Without a budget nothing is trained."""
        return self.budget > 0

    def tune(
        self,
        model: nn.Module,
        lab: Lab,
        *,
        share: float = 1.0,
        hooks: Sequence[Hook] = (),
        terms: Sequence[tuple[float, Term]] = (),
    ) -> None:
        """Train `model` in place for `share` of the budget; does nothing if the budget is 0.

        `terms` with their weights are added to the objective.
        """
        epochs = lab.plan.epochs * self.budget * share
        if epochs:
            lab.train(
                model,
                epochs=epochs,
                learning_rate=self.learning_rate,
                objective=_with(self.objective(lab), terms),
                hooks=hooks,
            )

    def objective(self, lab: Lab) -> Objective | None:
        """What training minimises; None is the task's own loss."""
        return None


class GuidedMethod(TunedMethod):
    """A method that may train towards the reference's outputs as well as towards the labels."""

    alpha: float = Field(
        0.0, ge=0, le=1, description="weight of the distillation loss; the task's loss has weight 1 - alpha"
    )
    temperature: float = Field(2.0, gt=0, le=1000, description="softmax temperature of the distillation loss")

    def objective(self, lab: Lab) -> Objective | None:
        """The task's loss, and with `alpha` above 0 the divergence from the frozen reference."""
        if not self.alpha:
            return None
        from bench.training.terms.teacher import Teacher

        return self.guided(Teacher(frozen_reference(lab)))

    def guided(self, teacher: Teacher) -> Objective | None:
        """The same towards a teacher that is there already."""
        from bench.training.terms.outputs import distillation

        return distillation(teacher, temperature=self.temperature, alpha=self.alpha) if self.alpha else None


class RefinedMethod(GuidedMethod):
    """A method whose result has the layers of the reference, so that it may also be trained towards their outputs."""

    features: float = Field(
        0.0,
        ge=0,
        le=1,
        description="weight of the loss to the reference's hidden states and logits; the other terms share 1 - "
        "features",
    )
    attention: float = Field(
        0.0,
        ge=0,
        le=100,
        description="weight of the loss to the reference's attention scores; hidden states have weight 1",
    )
    feature_terms: Literal["mean", "sum"] = Field(
        "mean",
        description="'mean' over embeddings, layers and logits; 'sum' over embeddings and layers, logits left to alpha",
    )

    @model_validator(mode="after")
    def _feature_arguments_have_features(self) -> RefinedMethod:
        if not self.features and (self.attention or self.feature_terms != "mean"):
            raise ValueError("attention and feature_terms have no effect if features is 0. Give features above 0")
        return self

    def tune(
        self,
        model: nn.Module,
        lab: Lab,
        *,
        share: float = 1.0,
        hooks: Sequence[Hook] = (),
        terms: Sequence[tuple[float, Term]] = (),
    ) -> None:
        """With `features` above 0 the objective is a sum of both kinds of terms."""
        if not self.features:
            super().tune(model, lab, share=share, hooks=hooks, terms=terms)
            return
        epochs = lab.plan.epochs * self.budget * share
        if epochs:
            from bench.training.features import FeatureMatching
            from bench.training.terms.teacher import Teacher

            teacher = Teacher(frozen_reference(lab))
            matching = FeatureMatching(teacher, attention=self.attention, summed=self.feature_terms == "sum")
            objective = _with(self._refining(matching, teacher), terms)
            rate = self.learning_rate
            lab.train(model, epochs=epochs, learning_rate=rate, objective=objective, hooks=[*hooks, matching])

    def _refining(self, matching: FeatureMatching, teacher: Teacher) -> Objective:
        """Matching comes first: what it runs the teacher for serves the distillation term as well."""
        from bench.training.objective import Objective

        others = (self.guided(teacher) or Objective()).terms
        rest = tuple(((1.0 - self.features) * weight, term) for weight, term in others)
        return Objective(terms=((self.features, matching), *rest))


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


def _with(objective: Objective | None, terms: Sequence[tuple[float, Term]]) -> Objective | None:
    """The objective, the task's loss if it is None, with `terms` added."""
    if not terms:
        return objective
    from bench.training.objective import Objective

    return Objective(terms=(*(objective or Objective()).terms, *terms))
