"""Language modelling: how well the next token of running text is foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import UnavailableError
from bench.tasks.examples import Example
from bench.tasks.features import IGNORED, Batch, Feature
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.kinds.span_qa import end_id
from bench.tasks.predictions import TextLosses

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.spec.suite import Task


class LanguageModelling(TaskKind):
    """A causal language model over the joined texts of all examples, with an end token before the first and after each.

    The stream is cut into blocks of `max_length` tokens that overlap by one, so that every token but the first is
    predicted exactly once, from at most `max_length` - 1 tokens before it. No state is carried from block to block:
    for a recurrent model this is stricter than carrying it, but the same for every architecture.
    """

    name = "language_modelling"
    says = "each token of a text from those before it"
    usual_metrics = ("perplexity",)
    cuts = False
    head = "causal-language-modelling"
    predicts = TextLosses
    per_token = True
    asked = "next"
    tokens_compared = 16  # more would take too long: there is a distribution over the vocabulary per token

    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """The blocks in the order of the text; `owners` say which example each token was read from."""
        if not examples:
            return []
        stream, owners = _stream(examples, tokenizer)
        features = []
        for first in range(0, len(stream) - 1, max_length - 1):
            block, own = stream[first : first + max_length], owners[first : first + max_length]
            features.append(
                Feature(
                    inputs={"input_ids": block, "attention_mask": [1] * len(block)},
                    targets={"labels": [*block[1:], IGNORED]} if training else {},
                    example=own[0],
                    owners=tuple(own),
                )
            )
        return features

    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy over the predicted tokens of the batch, in nats."""
        from torch.nn import functional

        return functional.cross_entropy(outputs.logits.float().flatten(0, 1), targets["labels"].flatten())

    def run(self, model: nn.Module, batch: Batch, tokenizer: Any) -> tuple[Tensor, ...]:
        """The negative log-likelihood of each token in nats, [batch, length]; 0 for the first, which is given."""
        from torch.nn import functional

        logits = model(**batch.inputs).logits[:, :-1].float()  # [batch, length - 1, vocabulary]
        nats = functional.cross_entropy(logits.transpose(1, 2), batch.inputs["input_ids"][:, 1:], reduction="none")
        return (functional.pad(nats, (1, 0)),)

    def conditions(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> dict[str, Any]:
        """The vocabulary that perplexity is over, how many tokens were predicted and how many of them are unknown."""
        stream, _ = _stream(examples, tokenizer)
        predicted = stream[1:]
        return {
            "vocabulary": len(tokenizer),
            "predicted_tokens": len(predicted),
            "unknown_tokens": sum(token == tokenizer.unk_token_id for token in predicted),
            "context": f"blocks of {max_length} tokens that overlap by one; no state is carried between them",
            "quality": "1 / perplexity, the geometric mean probability of a token",
        }

    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> TextLosses:
        """The nats and the number of predicted tokens of every example; their sums are those of the whole text."""
        import numpy as np

        losses = np.zeros((len(examples), 2))
        for (nats,), feature in zip(outputs, features, strict=True):
            owners = list(feature.owners or ())[1:]
            np.add.at(losses, (owners, 0), nats[1:].astype(np.float64))
            np.add.at(losses, (owners, 1), 1)
        return TextLosses(losses)

    def heard(self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any) -> Any:
        """Raises `UnavailableError`: texts do not say how probable a token is."""
        raise UnavailableError(
            f"a {self.name} task scores probabilities of tokens, which a function of texts does not say"
        )


def _stream(examples: Sequence[Example], tokenizer: Any) -> tuple[list[int], list[int]]:
    """All tokens in order, and the index of the example that each was read from."""
    end = end_id(tokenizer)
    stream, owners = [end], [0]
    for row, ids in enumerate(tokenizer([example.text for example in examples], add_special_tokens=False)["input_ids"]):
        stream += [*ids, end]
        owners += [row] * (len(ids) + 1)
    return stream, owners


KINDS.register(LanguageModelling.name)(LanguageModelling())
