"""Masked language modelling: how well hidden tokens of running text are guessed from both of their sides."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import DataError, UnavailableError
from bench.tasks.examples import Example
from bench.tasks.features import IGNORED, Batch, Feature, Maskable
from bench.tasks.kinds.kind import KINDS, TaskKind
from bench.tasks.predictions import TextLosses

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bench.spec.suite import Task


class MaskedLanguageModelling(TaskKind):
    """BERT's pretraining task (Devlin et al. 2019, arXiv:1810.04805, §3.1) on one text at a time.

    The predicted tokens, and what replaces them in the input, are drawn again each time a text is used in training
    (RoBERTa: Liu et al. 2019, arXiv:1907.11692, §4.1). In evaluation they are drawn once, from the seed of the data and
    the example only, so that every model with this tokenizer predicts the same tokens. There is no next-sentence task.
    """

    name = "masked_language_modelling"
    says = "hidden tokens of a text from those around them"
    usual_metrics = ("perplexity",)
    cuts = False
    head = "masked-language-modelling"
    predicts = TextLosses
    per_token = True
    asked = "chosen"
    tokens_compared = 128  # only about one token in seven is predicted

    def encode(
        self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int, training: bool
    ) -> list[Feature]:
        """Every text with its special tokens, a longer one in pieces of `max_length` that share no word.

        All have targets, as what is evaluated is chosen here. With `training`, pieces that hold no word are left out.
        Raises `DataError` if the tokenizer has no mask token.
        """
        if tokenizer.mask_token_id is None:
            raise DataError(
                f"{task.name}: the tokenizer has no mask token, so the model cannot be trained on masked language "
                f"modelling. Choose an encoder such as BERT."
            )
        if not examples:
            return []
        features = []
        for piece in _pieces(examples, tokenizer, max_length=max_length):
            if piece.text.places or not training:
                unmasked = Feature(inputs=piece.inputs, targets={}, example=piece.example, text=piece.text)
                draws = random.Random(f"{task.data.seed}:{examples[piece.example].uid}:{piece.number}")
                features.append(self.anew(unmasked, draws))
        return features

    def anew(self, feature: Feature, draws: random.Random) -> Feature:
        """The same text with another choice of places."""
        if feature.text is None:
            raise DataError("masked_language_modelling: a feature of another task kind has no text to mask")
        tokens, labels = masked(feature.text, draws)
        return dataclasses.replace(
            feature, inputs={**feature.inputs, "input_ids": tokens}, targets={"labels": [*labels]}
        )

    def loss(self, outputs: Any, targets: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy over the chosen places of the batch, in nats."""
        from torch.nn import functional

        places = targets["labels"] != IGNORED
        return functional.cross_entropy(outputs.logits[places].float(), targets["labels"][places])

    def run(self, model: nn.Module, batch: Batch, tokenizer: Any) -> tuple[Tensor, ...]:
        """The negative log-likelihood of the true token at each chosen place in nats, [batch, length]; 0 elsewhere."""
        import torch
        from torch.nn import functional

        labels = batch.targets["labels"]
        places = labels != IGNORED
        chosen = model(**batch.inputs).logits[places].float()  # [places, vocabulary]
        nats = torch.zeros(labels.shape, device=labels.device)
        nats[places] = functional.cross_entropy(chosen, labels[places], reduction="none")
        return (nats,)

    def conditions(self, examples: Sequence[Example], tokenizer: Any, *, task: Task, max_length: int) -> dict[str, Any]:
        """What perplexity is over: which places, how many, and the vocabulary."""
        features = self.encode(examples, tokenizer, task=task, max_length=max_length, training=False)
        predicted = [label for feature in features for label in _predicted(feature)]
        return {
            "vocabulary": len(tokenizer),
            "predicted_tokens": len(predicted),
            "unknown_tokens": sum(label == tokenizer.unk_token_id for label in predicted),
            "perplexity": "of the chosen places given both of their sides (the exp of the masked language modelling "
            "loss), so it is not that of a language model, nor the pseudo-perplexity that hides every token in turn",
            "chosen": f"{CHOSEN:.0%} of each text, at least one token; {MASKED:.0%} of them masked, {RANDOM:.0%} "
            f"random, the others as they are; fixed by seed {task.data.seed} and the example",
            "context": f"one text, in pieces of {max_length} tokens at most",
            "quality": "1 / perplexity, the geometric mean probability of a chosen token",
        }

    def predict(
        self,
        outputs: Sequence[tuple[Any, ...]],
        features: Sequence[Feature],
        examples: Sequence[Example],
        *,
        tokenizer: Any = None,
    ) -> TextLosses:
        """The nats and the number of chosen places of every example."""
        import numpy as np

        losses = np.zeros((len(examples), 2))
        for (nats,), feature in zip(outputs, features, strict=True):
            losses[feature.example] += nats.astype(np.float64).sum(), len(_predicted(feature))
        return TextLosses(losses)

    def heard(self, said: Sequence[Any], examples: Sequence[Example], *, task: Task, name: str, outputs: Any) -> Any:
        """Raises `UnavailableError`: texts do not say how probable a token is."""
        raise UnavailableError(
            f"a {self.name} task scores probabilities of tokens, which a function of texts does not say"
        )


class _TextPiece(NamedTuple):
    """As much of an example as fits a model: its inputs, the text to choose from, and which piece of the example."""

    inputs: dict[str, list[int]]
    text: Maskable
    example: int
    number: int


def _pieces(examples: Sequence[Example], tokenizer: Any, *, max_length: int) -> Iterator[_TextPiece]:
    """All pieces in the order of the examples and of their texts."""
    encoded = tokenizer(
        [example.text for example in examples],
        truncation=True,
        max_length=max_length,
        return_overflowing_tokens=True,
        padding=False,
    )
    rows = encoded.pop("overflow_to_sample_mapping")
    special = set(tokenizer.all_special_ids)
    words = sorted(set(tokenizer.get_vocab().values()) - special)
    kept = special - {tokenizer.unk_token_id}  # an unknown word is text, and predicted like any other
    done: Counter[int] = Counter()
    for index, row in enumerate(rows):
        tokens = encoded["input_ids"][index]
        places = tuple(place for place, token in enumerate(tokens) if token not in kept)
        text = Maskable(tokens=tuple(tokens), places=places, mask=tokenizer.mask_token_id, words=words)
        yield _TextPiece({name: encoded[name][index] for name in encoded}, text, row, done[row])
        done[row] += 1


def _predicted(feature: Feature) -> list[int]:
    """The true tokens of the chosen places."""
    labels = feature.targets["labels"]
    return [label for label in labels if label != IGNORED] if isinstance(labels, list) else []


KINDS.register(MaskedLanguageModelling.name)(MaskedLanguageModelling())


CHOSEN = 0.15  # of the tokens that may be predicted
MASKED, RANDOM = 0.8, 0.1  # of the chosen places; the others keep their token


class Masked(NamedTuple):
    """What a model reads, and for each token what it should have read there, -100 where nothing is predicted."""

    tokens: list[int]
    labels: list[int]


def masked(text: Maskable, draws: random.Random) -> Masked:
    """`text` with a new choice of places.

    15 % of the n places are chosen, as floor(0.15 n + u) with u uniform in [0, 1), so that the share is met on average
    over texts of every length (RoBERTa in fairseq), but at least one (google-research/bert): below 7 places more than
    15 %. Of the chosen 80 % become the mask token, 10 % a random one, which may be the one that was there, and 10 %
    stay.
    """
    tokens, labels = list(text.tokens), [IGNORED] * len(text.tokens)
    count = min(len(text.places), max(1, int(CHOSEN * len(text.places) + draws.random())))
    for place in draws.sample(text.places, count):
        labels[place] = tokens[place]
        fate = draws.random()
        if fate < MASKED:
            tokens[place] = text.mask
        elif fate < MASKED + RANDOM:
            tokens[place] = draws.choice(text.words)
    return Masked(tokens, labels)
