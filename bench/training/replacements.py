"""What each word of a text may become: by a masked language model, or by neighbours among its input embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.base.errors import TrainingError
from bench.models.adapter import adapter_for
from bench.tasks.batching import collate, length_batches
from bench.tasks.features import Feature
from bench.tasks.wording.words import Words, whole_words

_BATCH_TOKENS = 8192


class Replacements(NamedTuple):
    """What words may become, best first, by text and place, and for how many words each source said it."""

    candidates: dict[tuple[str, int], tuple[str, ...]]
    by_model: int
    by_neighbours: int


class _MaskedWord(NamedTuple):
    """One word of a text that is one token: which it is, and the text's ids with the mask in its place."""

    text: str
    word: int
    feature: Feature
    position: int


def replacements(
    model: nn.Module,
    wanted: Mapping[str, Sequence[int]],
    tokenizer: Any,
    *,
    count: int,
    max_length: int,
    by_model: bool = True,
    progress: Callable[[str, float], None] = lambda says, share: None,
) -> Replacements:
    """The `count` best replacements of words; of one without a letter there are none.

    As for TinyBERT (Jiao et al. 2020, arXiv:1909.10351, algorithm 1): of a word that is one token, what a masked
    language model deems most probable in its place; of other words, what is nearest to them. There nearest is by GloVe;
    here it is the cosine among the model's own input embeddings, which need no download, a word of several pieces being
    their mean. Only whole words of letters are offered. The word itself may be among what the model offers. Nothing is
    offered for words behind `max_length`, and there is no list of stop words, which the paper does not have either.

    Args:
        model: in evaluation mode, on the device on which it runs; with a head of masked language modelling if
            `by_model`.
        wanted: places of words by text, as `bench.tasks.wording.words.Words` counts them. Each text is read by itself,
            also if it is one of a pair.
        tokenizer: a fast one that belongs to the model.
        count: replacements per word at most.
        max_length: tokens of a text.
        by_model: False takes neighbours for every word.
        progress: told now and then how many words are done, with their share.

    Raises:
        TrainingError: no mask token, or no whole words in the vocabulary.
    """
    if by_model and tokenizer.mask_token_id is None:
        raise TrainingError("the tokenizer has no mask token, so no masked language model can replace words")
    table = _WholeWords(model, tokenizer)
    texts = list(wanted)
    encoded = tokenizer(texts, truncation=True, max_length=max_length, return_offsets_mapping=True) if texts else {}
    names = [name for name in encoded if name != "offset_mapping"]
    candidates: dict[tuple[str, int], tuple[str, ...]] = {}
    places: list[_MaskedWord] = []
    near: dict[tuple[int, ...], tuple[str, ...]] = {}
    neighbours = 0
    for row, text in enumerate(texts):
        words, tokens = Words.of(text), encoded["input_ids"][row]
        inner = _tokens_of(words, encoded["offset_mapping"][row])
        for index in wanted[text]:
            inside = inner[index]
            if not inside or not any(letter.isalpha() for letter in words.word(index)):
                continue
            if by_model and len(inside) == 1 and tokens[inside[0]] != tokenizer.unk_token_id:
                inputs = {name: [*encoded[name][row]] for name in names}
                inputs["input_ids"][inside[0]] = tokenizer.mask_token_id
                places.append(_MaskedWord(text, index, Feature(inputs=inputs, targets={}, example=row), inside[0]))
                continue
            pieces = tuple(tokens[place] for place in inside)
            if pieces not in near:
                near[pieces] = () if pieces == (tokenizer.unk_token_id,) else table.nearest(pieces, count)
            neighbours += bool(near[pieces])
            candidates[text, index] = near[pieces]
    for place, found in _probable(model, places, table, tokenizer.pad_token_id, count, progress):
        candidates[place.text, place.word] = found
    return Replacements(candidates, len(places), neighbours)


def _tokens_of(words: Words, offsets: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The positions of the tokens of each word; none for a word that was cut off or shares a token with another."""
    found: list[list[int]] = [[] for _ in words.spans]
    starts = {start: index for index, (start, _) in enumerate(words.spans)}
    ends = {index: end for index, (_, end) in enumerate(words.spans)}
    inside: int | None = None
    for position, (start, end) in enumerate(offsets):
        if start == end:
            continue
        inside = starts.get(start, inside)
        if inside is not None and end <= ends[inside]:
            found[inside].append(position)
        else:
            inside = None
    whole = [
        bool(tokens) and offsets[tokens[-1]][1] == end for tokens, (_, end) in zip(found, words.spans, strict=True)
    ]
    return [tokens if complete else [] for tokens, complete in zip(found, whole, strict=True)]


class _WholeWords:
    """The whole words of a vocabulary with their normalised input embeddings, on the device of the model."""

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        special = set(tokenizer.all_special_tokens)
        table = adapter_for(model).word_embedding(model)
        size = int(model.config.vocab_size)  # type: ignore[union-attr, arg-type]
        plain = {token: row for token, row in tokenizer.get_vocab().items() if token not in special}
        rows = {word: row for word, row in whole_words(plain).items() if row < size}
        if not rows:
            raise TrainingError("the tokenizer's vocabulary has no whole words, so words cannot be replaced")
        self.words = sorted(rows)
        device = next(model.parameters()).device
        self.ids = torch.tensor([rows[word] for word in self.words], dtype=torch.long, device=device)
        self._table = table
        with torch.no_grad():
            self._vectors = functional.normalize(table(self.ids).float(), dim=1)  # [words, width]

    def nearest(self, pieces: Sequence[int], count: int) -> tuple[str, ...]:
        """The words nearest to the mean of some pieces by cosine, the word of a single piece itself left out."""
        with torch.no_grad():
            ids = torch.tensor(pieces, device=self.ids.device)
            mean = functional.normalize(self._table(ids).float().mean(dim=0), dim=0)
            found = (self._vectors @ mean).topk(min(count + 1, len(self.words))).indices.tolist()
        own = pieces[0] if len(pieces) == 1 else None
        return tuple(self.words[index] for index in found if int(self.ids[index]) != own)[:count]

    def best(self, logits: Tensor, count: int) -> list[tuple[str, ...]]:
        """The most probable words by logits [rows, vocabulary]."""
        found = logits[:, self.ids].topk(min(count, len(self.words)), dim=1).indices.tolist()
        return [tuple(self.words[index] for index in row) for row in found]


def _probable(
    model: nn.Module,
    places: list[_MaskedWord],
    table: _WholeWords,
    pad_id: int,
    count: int,
    progress: Callable[[str, float], None],
) -> list[tuple[_MaskedWord, tuple[str, ...]]]:
    """What a masked language model puts into each place, in batches of similar length."""
    found: list[tuple[_MaskedWord, tuple[str, ...]]] = []
    device = str(table.ids.device)
    for rows in length_batches([place.feature.tokens for place in places], budget_tokens=_BATCH_TOKENS):
        chosen = [places[row] for row in rows]
        batch = collate([place.feature for place in chosen], pad_id=pad_id).to(device)
        at = torch.tensor([place.position for place in chosen], device=device)
        with torch.no_grad(), _reading_only(model, at):
            logits = model(**batch.inputs).logits[:, 0]  # [words, vocabulary]
        found += zip(chosen, table.best(logits.float(), count), strict=True)
        progress(f"replacing words: {len(found)} of {len(places)}", len(found) / len(places))
    return found


@contextmanager
def _reading_only(model: nn.Module, at: Tensor) -> Iterator[None]:
    """The head of `model` is given one hidden state per text, at the places `at` [batch], instead of all.

    A head of a vocabulary costs as much as the layers of a small encoder, and its logits take gigabytes.
    """

    def pick(module: nn.Module, inputs: Any, outputs: Any) -> Any:
        states = outputs[0]  # [batch, length, width]
        outputs["last_hidden_state"] = states[torch.arange(len(at), device=states.device), at].unsqueeze(1)
        return outputs

    body = getattr(model, str(model.base_model_prefix))
    handle = body.register_forward_hook(pick)
    try:
        yield
    finally:
        handle.remove()
