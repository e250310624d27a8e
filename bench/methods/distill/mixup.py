"""Distillation on mixed examples (MixKD)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod
from bench.methods.distill.augmented import require_texts
from bench.methods.distill.transfer import TRANSFER, Prepared, Transfer

if TYPE_CHECKING:
    from torch import nn

    from bench.training.terms.teacher import Taught


@TRANSFER.register("mixup")
class Mixup(Transfer):
    """Beside each batch, the same examples mixed in pairs (MixKD: Liang et al. 2021, arXiv:2011.00593).

    Word embeddings are mixed by one share per batch, drawn from Beta(a, a), for student and teacher alike, each with
    its own embeddings. Two terms on mixed examples are added to those of the table, which are on the examples as they
    are: the task's loss against both labels in the same shares, and the squared difference of the logits. Every step
    takes two passes of the student. Back-translation, the paper's other augmentation, is missing.
    """

    concentration: float = Field(0.4, gt=0, le=100, description="a of the Beta distribution of the shares")
    labels: float = Field(1.0, ge=0, description="weight of the loss of mixed examples against the mixed labels")
    logits: float = Field(1.0, ge=0, description="weight of the squared difference to the teacher's mixed logits")

    @override
    def seeded(self) -> bool:
        return True

    @property
    @override
    def taught(self) -> bool:
        return self.logits > 0

    @override
    def prepared(self, model: nn.Module, lab: Lab, *, method: TrainedMethod) -> Prepared:
        """Raises `MethodError` for a task that has more than one row of outputs per text or pair."""
        require_texts(lab, where="distill: data = 'mixup'")
        lab.notes.append(
            f"Beside every batch of training its examples, mixed in pairs by shares of Beta({self.concentration:g}, "
            f"{self.concentration:g}); no back-translation."
        )
        return Prepared(lab, model)

    @override
    def added(self, lab: Lab, student: nn.Module, taught: Taught) -> Taught:
        """Raises `MethodError` for a student or a teacher that cannot be given embeddings."""
        from bench.training.mixup import MixedTerm, require_embeddings

        teachers = taught.teachers if self.logits else ()
        for model in (student, *(teacher.model for teacher in teachers)):
            require_embeddings(model, where="distill: data = 'mixup'")
        term = MixedTerm(
            teachers, concentration=self.concentration, labels=self.labels, logits=self.logits, seed=lab.seed
        )
        return taught._replace(terms=(*taught.terms, (1.0, term)))
