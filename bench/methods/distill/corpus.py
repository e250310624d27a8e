"""Task-agnostic distillation: a student of the pretrained encoder, on unlabelled text, before it has a task's head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.depth import refuse_lost_work
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod
from bench.methods.distill.transfer import TRANSFER, Prepared, Transfer

if TYPE_CHECKING:
    from torch import nn


@TRANSFER.register("corpus")
class Corpus(Transfer):
    """The texts of a task of masked language modelling (Sanh et al. 2019, arXiv:1910.01108, §3).

    The teacher is the model source's pretrained encoder with the head of that task, not tuned to the recipe's own task;
    labels are the hidden tokens. Afterwards the student gets the own task's head, which is fresh: a later stage trains
    it, such as `distill` with the student `same`. The budget is a share of the plan that the suite has for the corpus.
    """

    task: str = Field(description="the task of the suite whose texts are used")
    tuned: float = Field(
        0.0,
        ge=0,
        le=100,
        description="training of the teacher on the texts before it teaches, as a share of the suite's for that task; "
        "needed if the head is new and the terms compare its outputs",
    )

    @override
    def tasks(self) -> tuple[str, ...]:
        return (self.task,)

    @override
    def prepared(self, model: nn.Module, lab: Lab, *, method: TrainedMethod) -> Prepared:
        """Raises `MethodError` if it is not the first stage, or if terms compare the outputs of a new head."""
        refuse_lost_work(model, lab.reference, where="distill: data = 'corpus'")
        other = lab.elsewhere(self.task)
        compared = [key for key, term in method.terms.working.items() if term.what.of_head]
        if other.head_is_new and compared and not self.tuned:
            raise MethodError(
                f"distill: terms.{compared[0]}: the model has no trained head for {self.task} ({other.task.kind}), so "
                f"its outputs teach nothing. Set data.tuned above 0, which trains it on these texts first; or train it "
                f"once, with `bench run SUITE --task {self.task} --recipe none --artifacts FOLDER`, and use what is in "
                f"the folder as --model."
            )
        if self.tuned:
            other.train(other.reference, epochs=other.plan.epochs * self.tuned)
        lab.counts["corpus_texts"] = len(other.examples)
        tuned = f"trained on them first (epochs: {other.plan.epochs * self.tuned:g})" if self.tuned else "as it is"
        lab.notes.append(
            f"Corpus: the training texts of {self.task} ({other.task.data.source}, {other.task.data.subset}); the "
            f"teacher is the pretrained model, {tuned}; the task's head is new afterwards."
        )
        return Prepared(other, other.reference)

    @override
    def finished(self, student: nn.Module, lab: Lab) -> nn.Module:
        from bench.models.rehead import with_head_of

        return with_head_of(student, lab.reference, seed=lab.seed)
