"""Translation: a text in, a text out, written by greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.features import Batch, Feature
from bench.tasks.greedy import EXTRA_TOKENS, write
from bench.tasks.heard import texts_said
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.kinds.span_qa import end_id, start_id
from bench.tasks.metrics.answers import bleu_signature, corpus_bleu
from bench.tasks.predictions import Predictions, WrittenAnswers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.spec.suite import Task

SMOOTHING = 0.1  # label smoothing in training only, Vaswani et al. 2017, arXiv:1706.03762, §5.4


class Translation(TaskKind):
    """An encoder-decoder trained with teacher forcing and scored on the text that it generates.

    The decoder's first input and the tokens to predict are made here, so that a model is always called with
    `input_ids`, `attention_mask` and `decoder_input_ids` and never has to shift labels.
    """

    name = "translation"
    says = "a text written from another one"
    usual_metrics = ("bleu",)
    needs = ("target",)
    head = "translation"
    predicts = WrittenAnswers
    writes = True

    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """One feature per example; source and target are cut to `max_length` tokens each, the target's end included.

        Without `training` the decoder's input is its start token alone. Raises `DataError` if a training target is
        hidden, or if the tokenizer has nothing that ends a text.
        """
        if not examples:
            return []
        start, end = start_id(tokenizer), end_id(tokenizer)
        sources = tokenizer([example.text for example in examples], truncation=True, max_length=max_length)
        written: list[list[int]] = [[]] * len(examples)
        if training:
            targets = self.known_truths(examples)
            cut = {"add_special_tokens": False, "truncation": True, "max_length": max_length - 1}
            written = tokenizer(targets, **cut)["input_ids"]
        return [
            Feature(
                inputs={
                    "input_ids": sources["input_ids"][row],
                    "attention_mask": sources["attention_mask"][row],
                    "decoder_input_ids": [start, *ids],
                },
                targets={"labels": [*ids, end]} if training else {},
                example=row,
            )
            for row, ids in enumerate(written)
        ]

    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy over the target's tokens in nats, each target smoothed by 0.1 over the vocabulary."""
        from torch.nn import functional

        logits = outputs.logits.float().flatten(0, 1)  # [batch * length, vocabulary]
        return functional.cross_entropy(logits, targets["labels"].flatten(), label_smoothing=SMOOTHING)

    def run(self, model: nn.Module, batch: Batch, tokenizer: Any) -> tuple[Tensor, ...]:
        """What the model writes, token ids [batch, longest], and the sum of their logits [batch]."""
        from bench.models.encoder_decoder import numbered_layers

        with numbered_layers(model):
            return write(model, batch.inputs, end_id=end_id(tokenizer), pad_id=tokenizer.pad_token_id)

    def conditions(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> dict[str, Any]:
        """The signature of BLEU, and how the text is decoded."""
        return {
            "bleu_signature": bleu_signature(),
            "decoding": f"greedy, at most {EXTRA_TOKENS} tokens more than the source",
            "vocabulary": len(tokenizer),
        }

    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any,
    ) -> WrittenAnswers:
        """The written texts up to their ends, special tokens left out."""
        end, texts = end_id(tokenizer), [""] * len(examples)
        for (ids, _), feature in zip(outputs, features, strict=True):
            written = ids.tolist()
            written = written[: written.index(end)] if end in written else written
            texts[feature.example] = tokenizer.decode(written, skip_special_tokens=True).strip()
        return WrittenAnswers(tuple(texts))

    @override
    def truth(self, example: Example) -> str | None:
        return example.target

    @override
    def handed(self, example: Example) -> str:
        return example.text

    @override
    def heard(
        self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any
    ) -> WrittenAnswers:
        """The translation."""
        return WrittenAnswers(texts_said(said, examples, name=name))

    @override
    def says_hidden(self, hidden: int, total: int, first: str) -> str:
        return (
            f"the targets of {hidden} of {total} examples are hidden (first: {first}). "
            "Train and evaluate on splits with published translations."
        )

    @override
    def check(self, example: Example, task: Task, *, where: str) -> None:
        if example.target is not None and not example.target.strip():
            raise DataError(f"{where}: the target is empty; if it is hidden, leave it out")

    def agreement_details(self, reference: Predictions, artifact: Predictions, task: Task) -> dict[str, Any]:
        """Also BLEU of the artifact's texts with the reference's as targets."""
        found = super().agreement_details(reference, artifact, task)
        if isinstance(reference, WrittenAnswers) and isinstance(artifact, WrittenAnswers):
            found["bleu_against_reference"] = corpus_bleu(artifact.answers, reference.answers)
        return found


KINDS.register(Translation.name)(Translation())
