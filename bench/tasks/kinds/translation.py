"""Translation: a text in, a text out, written by greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError
from bench.tasks.examples import Example
from bench.tasks.greedy import EXTRA_TOKENS, write
from bench.tasks.kinds.kind import KINDS, Batch, Feature, Predictions, TaskKind
from bench.tasks.kinds.marks import end_id, start_id
from bench.tasks.kinds.sequence import metric_names

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.spec.suite import Task

SMOOTHING = 0.1  # label smoothing in training only, Vaswani et al. 2017, arXiv:1706.03762, §5.4


class Translation(TaskKind):
    """An encoder-decoder trained on the true beginnings of the target and scored on what it writes itself.

    The decoder's first input and the tokens to predict are made here, so that a model is always called with
    `input_ids`, `attention_mask` and `decoder_input_ids` and never has to shift labels.
    """

    name = "translation"
    head = "translation"

    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """One feature an example; source and target are cut to `max_length` tokens each, the target's end included.

        Without `training` the decoder's input is its start token alone. Raises `DataError` where a training target is
        hidden, or where the tokenizer has nothing that ends a text.
        """
        if not examples:
            return []
        start, end = start_id(tokenizer), end_id(tokenizer)
        sources = tokenizer([example.text for example in examples], truncation=True, max_length=max_length)
        written: list[list[int]] = [[]] * len(examples)
        if training:
            targets = true_targets(examples)
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

    def logits(self, outputs: Any) -> tuple[Tensor, ...]:
        """Scores of the next token, [batch, length, vocabulary]."""
        return (outputs.logits,)

    def run(self, model: nn.Module, batch: Batch, tokenizer: Any) -> tuple[Tensor, ...]:
        """What the model writes, token ids [batch, longest], and the sum of their logits [batch]."""
        from bench.models.decoding import numbered_layers

        with numbered_layers(model):
            return write(model, batch.inputs, end_id=end_id(tokenizer), pad_id=tokenizer.pad_token_id)

    def conditions(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> dict[str, Any]:
        """The signature of BLEU, and how the text is decoded."""
        from bench.tasks.metrics.bleu import signature

        return {
            "bleu_signature": signature(),
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
    ) -> Predictions:
        """The written texts up to their ends, special tokens left out."""
        end, texts = end_id(tokenizer), [""] * len(examples)
        for (ids, _), feature in zip(outputs, features, strict=True):
            written = ids.tolist()
            written = written[: written.index(end)] if end in written else written
            texts[feature.example] = tokenizer.decode(written, skip_special_tokens=True).strip()
        return Predictions(answers=tuple(texts))

    def score(self, predictions: Predictions, examples: Sequence[Example], metrics: Sequence[str]) -> dict[str, float]:
        """`bleu`, of the whole corpus."""
        from bench.tasks.metrics.metric import score_metrics

        names = metric_names(self.name, metrics, ("bleu",))
        if predictions.answers is None:
            raise DataError("translation: nothing to score: the predictions hold no texts")
        return score_metrics(names, predictions.answers, [[target] for target in true_targets(examples)])


def true_targets(examples: Sequence[Example]) -> list[str]:
    """The target of every example; raises `DataError` where one is hidden."""
    targets = [example.target for example in examples if example.target is not None]
    if len(targets) < len(examples):
        first = next(example.uid for example in examples if example.target is None)
        raise DataError(
            f"the targets of {len(examples) - len(targets)} of {len(examples)} examples are hidden (first: {first}). "
            "Train and score on splits whose translations are published."
        )
    return targets


KINDS.register(Translation.name)(Translation())
