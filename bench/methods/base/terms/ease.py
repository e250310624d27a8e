"""Example weights that count easy examples less: by the teacher's uncertainty, or by what a bias-only model knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from typing_extensions import override

from bench.methods.base.terms.weights import EXAMPLE_WEIGHTS, ExampleWeight

if TYPE_CHECKING:
    from bench.methods.base.method import Lab
    from bench.training.terms.weighing import Weigher


class _EaseWeight(ExampleWeight):
    """1 - strength * ease, with an ease in [0, 1] of each example, as a weight or as a smoothing."""

    strength: float = Field(1.0, ge=0, le=1, description="how much the ease of an example counts; 0 changes nothing")
    effect: Literal["weight", "smooth"] = Field(
        "weight",
        description="'weight' multiplies the example's loss by 1 - strength * ease; 'smooth' raises the teacher's "
        "probabilities to that power and normalises them again",
    )

    @property
    def smooths(self) -> bool:
        return self.effect == "smooth"


@EXAMPLE_WEIGHTS.register("uncertainty")
class TeacherUncertainty(_EaseWeight):
    """Examples of which the teacher is sure count less (cf. Du et al. 2021, arXiv:2110.08419, by sample uncertainty).

    The ease is 1 minus the entropy of the teacher's distribution, as a share of the largest that it could be. The
    paper's exact regulariser could not be read: this is its idea. With `favour = "certain"` it is the other way round.
    """

    favour: Literal["uncertain", "certain"] = Field("uncertain", description="which examples keep their weight")

    @override
    def weigher(self, lab: Lab) -> Weigher | None:
        from bench.training.terms.ease import ByEase, TeacherCertainty

        del lab
        if not self.strength:
            return None
        ease = TeacherCertainty(inverted=self.favour == "certain")
        return ByEase(ease, strength=self.strength, smooth=self.smooths)


@EXAMPLE_WEIGHTS.register("bias-only")
class BiasOnly(_EaseWeight):
    """Examples that can be told from something shallow count less.

    The ease is the probability that a bias-only model gives to the label; it is logistic regression on what `reads`
    says, and has not seen the example. As a weight this is the reweighting of Clark et al. 2019 (arXiv:1909.03683),
    as a smoothing the confidence regularisation of Utama et al. 2020 (arXiv:2005.00315, §3): teacher^(1 - ease).
    """

    reads: Literal["bag-of-words", "second-text", "overlap"] = Field(
        "bag-of-words",
        description="what the bias-only model knows of an example: its words, those of its second text alone (such as "
        "the hypothesis), or how much both texts overlap",
    )
    folds: int = Field(5, ge=2, le=100, description="parts of the training data, each judged by a model of the others")

    @override
    def weigher(self, lab: Lab) -> Weigher | None:
        """Raises `MethodError` for a task without one class per example, or texts that `reads` cannot tell apart."""
        from bench.training.shortcuts import shortcut_degrees
        from bench.training.terms.ease import ByEase, KnownEase

        if not self.strength:
            return None
        classes = len(lab.task.labels)
        degrees = shortcut_degrees(lab.features, reads=self.reads, classes=classes, folds=self.folds, seed=lab.seed)
        says = f"A bias-only model of {self.reads} gives labels a mean probability of {degrees.mean().item():.3f}."
        if says not in lab.notes:  # a curriculum asks several times
            lab.notes.append(says)
        return ByEase(KnownEase(degrees), strength=self.strength, smooth=self.smooths)
