"""Distillation on edited copies of the training texts, which only the teacher labels."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field, model_validator
from typing_extensions import override

from bench.base.errors import BenchError, MethodError
from bench.methods.base.method import Lab
from bench.methods.base.trained import TrainedMethod
from bench.methods.distill.transfer import TRANSFER, Prepared, Transfer

if TYPE_CHECKING:
    from torch import nn

    from bench.tasks.wording.copies import Edit


class Augmented(Transfer):
    """The training examples and edited copies of them, all without labels: what they are is the teacher's to say.

    A copy that is equal to its example or to an earlier copy of it is left out. An epoch is over examples and copies,
    so the budget buys as many more steps.
    """

    copies: int = Field(20, ge=1, le=1000, description="copies drawn per example; repeated ones are left out")

    @override
    def fits(self, method: TrainedMethod) -> None:
        weighed = [f"{key}.by" for key, term in method.terms.working.items() if term.by is not None]
        labelled = [key for key, term in method.terms.working.items() if not term.what.taught]
        if labelled or weighed:
            raise ValueError(
                f"data '{self.called}' holds texts whose labels nobody knows, so terms.{[*labelled, *weighed][0]} must "
                "be left out. Give terms that compare with the teacher only, such as terms = { logits = 1 }"
            )

    @override
    def seeded(self) -> bool:
        return True

    @override
    def prepared(self, model: nn.Module, lab: Lab, *, method: TrainedMethod) -> Prepared:
        """Raises `MethodError` for a task without plain texts, and if something that the edits need is missing."""
        from bench.tasks.encoded import encode
        from bench.tasks.kinds.kind import KINDS
        from bench.tasks.wording.copies import edited

        require_texts(lab, where=f"distill: data = '{self.called}'")
        edit, told = self.edit(lab)
        found = edited(lab.examples, edit, copies=self.copies, seed=lab.seed, progress=lab.progress)
        examples = [*lab.examples, *found.examples]
        features = encode(
            KINDS.get(lab.task.kind),
            examples,
            lab.tokenizer,
            task=lab.task,
            max_length=max_length(lab),
            training=False,
        )
        lab.counts["augmented_texts"] = len(found.examples)
        lab.notes.append(
            f"{told} {self.copies} drawn per example, {found.repeated:,} repeated ones left out; beside them all "
            f"{len(lab.examples):,} training examples, without their labels."
        )
        return Prepared(dataclasses.replace(lab, examples=examples, features=features), model)

    @abstractmethod
    def edit(self, lab: Lab) -> tuple[Edit, str]:
        """What changes a text, and a sentence on what it does and where it has its words from."""


@TRANSFER.register("noise")
class NoisyTexts(Augmented):
    """Copies with masked words, words of the same part of speech, and n-grams (Tang et al. 2019, arXiv:1903.12136).

    Parts of speech are those of WordNet, by the word alone. Of pairs the first text, the second and both are edited in
    turn.
    """

    mask: float = Field(0.1, ge=0, le=1, description="probability of a word to become the mask token")
    pos: float = Field(
        0.1,
        ge=0,
        le=1,
        description="probability of a word to become one of the same part of speech; 0 needs no WordNet",
    )
    ngram: float = Field(0.25, ge=0, le=1, description="probability of a text to be cut to an n-gram")
    longest: int = Field(5, ge=1, description="words of the longest n-gram")

    @model_validator(mode="after")
    def _one_draw_decides(self) -> NoisyTexts:
        if self.mask + self.pos > 1:
            raise ValueError("mask and pos are shares of the same draw; their sum must be at most 1")
        return self

    @override
    def edit(self, lab: Lab) -> tuple[Edit, str]:
        from bench.tasks.wording.copies import texts_of
        from bench.tasks.wording.dictionary import SourceMissingError, find_dictionary
        from bench.tasks.wording.noise import Noise, WordsByPart

        if self.mask and lab.tokenizer.mask_token is None:
            raise MethodError("distill: data = 'noise': the tokenizer has no mask token. Set data.mask = 0.")
        parts, source = None, ""
        if self.pos:
            try:
                dictionary = find_dictionary()
            except SourceMissingError as error:
                raise MethodError(f"distill: data = 'noise': data.pos: {error}. Or set data.pos = 0.") from error
            parts = WordsByPart(texts_of(lab.examples), dictionary)
            source = f" by WordNet {dictionary.version}"
        noise = Noise(
            mask=self.mask,
            pos=self.pos,
            ngram=self.ngram,
            longest=self.longest,
            mask_token=lab.tokenizer.mask_token or "",
            parts=parts,
        )
        return noise, (
            f"Copies of the training texts with words masked ({self.mask:g}) or exchanged for others of the same part "
            f"of speech ({self.pos:g}{source}), cut to n-grams ({self.ngram:g}):"
        )


@TRANSFER.register("word-replacement")
class ReplacedWords(Augmented):
    """Copies with words replaced by what a masked language model expects, or by neighbours (TinyBERT's augmentation).

    Jiao et al. 2020, arXiv:1909.10351, algorithm 1: a word of one token by one of the model's most probable words in
    its place, another by its nearest words. There these are nearest by GloVe, here among the model's own input
    embeddings.
    """

    probability: float = Field(0.4, ge=0, le=1, description="of a word to be replaced")
    candidates: int = Field(15, ge=1, description="most probable or nearest words of which one is drawn")
    task: str | None = Field(
        None,
        description="the task of masked language modelling of the suite whose pretrained model replaces words; None "
        "takes neighbours for every word",
    )
    tuned: float = Field(
        0.0, ge=0, le=100, description="training of that model on its task first, as a share of the suite's"
    )

    @override
    def tasks(self) -> tuple[str, ...]:
        return () if self.task is None else (self.task,)

    @override
    def edit(self, lab: Lab) -> tuple[Edit, str]:
        from bench.tasks.wording.copies import Rewording
        from bench.training.replacements import replacements

        model, says = (lab.fresh(_depth(lab), True), "") if self.task is None else self._masked(lab, self.task)
        rewording = Rewording(self.probability)
        try:
            found = replacements(
                model.to(lab.device).eval(),
                rewording.wanted(lab.examples, copies=self.copies, seed=lab.seed),
                lab.tokenizer,
                count=self.candidates,
                max_length=max_length(lab),
                by_model=self.task is not None,
                progress=lab.progress,
            )
        except BenchError as error:
            raise MethodError(f"distill: data = 'word-replacement': {error}") from error
        rewording.candidates = found.candidates
        return rewording, (
            f"Copies of the training texts with words replaced ({self.probability:g}) by one of {self.candidates} "
            f"candidates, which a masked language model{says} gave for {found.by_model:,} words and the nearest input "
            f"embeddings for {found.by_neighbours:,}:"
        )

    def _masked(self, lab: Lab, task: str) -> tuple[nn.Module, str]:
        """The pretrained model with a head of masked language modelling, and how it was trained."""
        other = lab.elsewhere(task)
        if other.head_is_new and not self.tuned:
            raise MethodError(
                f"distill: data = 'word-replacement': the model has no trained head for {task} ({other.task.kind}), so "
                f"it knows no words. Set data.tuned above 0, which trains it on these texts first; or leave out "
                f"data.task, which takes the nearest embeddings for every word."
            )
        if not self.tuned:
            return other.reference, ""
        epochs = other.plan.epochs * self.tuned
        other.train(other.reference, epochs=epochs)
        return other.reference, f" (trained on {task}, epochs: {epochs:g})"


def require_texts(lab: Lab, *, where: str) -> None:
    """Raise `MethodError` unless the task gives one row of outputs per text or pair of texts."""
    from bench.tasks.kinds.kind import KINDS
    from bench.tasks.kinds.sequence import SequenceKind

    kind = KINDS.get(lab.task.kind)
    if not isinstance(kind, SequenceKind) or kind.few_outputs:
        raise MethodError(
            f"{where}: a {lab.task.kind} task has more than one distribution or number per text, so its examples "
            f"cannot be changed this way. Use data = 'task'."
        )


def max_length(lab: Lab) -> int:
    """Tokens an example of the task may have."""
    return lab.task.max_length or lab.setting.max_length


def _depth(lab: Lab) -> int:
    from bench.models.adapter import adapter_for

    adapter = adapter_for(lab.reference)
    return adapter.depth(lab.reference, adapter.stacks(lab.reference)[0])
