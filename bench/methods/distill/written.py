"""Distillation on what the teacher writes (sequence-level distillation)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod, frozen_reference
from bench.methods.distill.augmented import max_length
from bench.methods.distill.transfer import TRANSFER, Prepared, Transfer

if TYPE_CHECKING:
    from torch import nn

    from bench.tasks.examples import Example


@TRANSFER.register("teacher-texts")
class TeacherTexts(Transfer):
    """The texts that the reference writes for the training sources, in place of their targets.

    Sequence-level distillation (Kim and Rush 2016, arXiv:1606.07947, §3.2): the student learns the mode of the
    teacher's distribution over whole texts. There a beam of 5 finds it, here greedy decoding. Terms that compare with a
    teacher see these texts too, so labels and logits together are the paper's combination of both levels (§4).
    """

    @override
    def prepared(self, model: nn.Module, lab: Lab, *, method: TrainedMethod) -> Prepared:
        """Raises `MethodError` for a task in which no text is written, or if the reference writes nothing."""
        from bench.tasks.encoded import encode
        from bench.tasks.kinds.kind import KINDS

        kind = KINDS.get(lab.task.kind)
        if not kind.writes:
            raise MethodError(
                f"distill: data = '{self.called}': in a {lab.task.kind} task no text is written. Use data = 'task', "
                f"or a task of translation."
            )
        examples = self._rewritten(lab)
        features = encode(kind, examples, lab.tokenizer, task=lab.task, max_length=max_length(lab), training=True)
        return Prepared(dataclasses.replace(lab, examples=examples, features=features), model)

    def _rewritten(self, lab: Lab) -> list[Example]:
        """The training examples with the reference's texts; those for which it writes nothing are left out."""
        from bench.tasks.evaluate import predict
        from bench.tasks.predictions import WrittenAnswers

        lab.progress("writing the teacher's texts", 0.0)
        said = predict(
            frozen_reference(lab),
            lab.tokenizer,
            lab.examples,
            task=lab.task,
            max_length=max_length(lab),
            token_budget=lab.setting.evaluation_tokens,
            device=lab.device,
        )
        if not isinstance(said, WrittenAnswers):
            raise TypeError(f"{lab.task.kind} predicts {type(said).__name__}, not texts")
        pairs = zip(lab.examples, said.answers, strict=True)
        examples = [dataclasses.replace(example, target=text) for example, text in pairs if text]
        if not examples:
            raise MethodError(
                f"distill: data = '{self.called}': the reference writes no text for any of {len(lab.examples):,} "
                f"sources. Train it for longer."
            )
        same = sum(text == example.target for example, text in zip(lab.examples, said.answers, strict=True))
        lab.counts["teacher_texts"] = len(examples)
        lab.notes.append(
            f"Targets are the reference's texts by greedy decoding; {same:,} of {len(lab.examples):,} equal the "
            f"data's own, and {len(lab.examples) - len(examples):,} empty ones are left out."
        )
        return examples
