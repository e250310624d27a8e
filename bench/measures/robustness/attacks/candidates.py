"""What a word may become: typing errors, synonyms, and neighbours in the attacked model's own input embeddings."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from bench.measures.robustness.attacks.meaning import FIXED, Meaning
from bench.tasks.wording.dictionary import Dictionary
from bench.tasks.wording.words import whole_words

if TYPE_CHECKING:
    from torch import nn

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = 8
_LEAST_COSINE = 0.5  # our decision: below it, neighbours in the tables we read were seldom synonyms


class Candidates(Protocol):
    """A source of replacements; equal words get equal replacements in equal order."""

    def of(self, word: str) -> Sequence[str]:
        """Replacements of `word`, best first; none of them equals it."""


class TypingErrors:
    """At most two each of: letters swapped, one left out, one typed twice, one hit beside its key.

    Edits as in DeepWordBug (Gao 2018, arXiv:1801.04354) and TextBugger (Li 2019, arXiv:1812.05271), without their
    look-alike characters, which a person would not type. The first letter stays. Words of one or two letters,
    function words (negations among them), numerals and contractions stay as well, and no edit gives another known word:
    "good" with one wrong letter may say "god".

    Args:
        seed: of the positions; with the word it decides the edits, so every model meets the same ones.
        words: known words in lower case, which no edit may give.
    """

    def __init__(self, *, seed: int, words: Container[str] = frozenset()) -> None:
        self._seed = seed
        self._words = words
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, word: str) -> Sequence[str]:
        """At most eight edits of `word`."""
        if word not in self._known:
            self._known[word] = self._edits(word)
        return self._known[word]

    def _edits(self, word: str) -> tuple[str, ...]:
        if len(word) < 3 or not word.isalpha() or word.lower() in FIXED:
            return ()
        draw = random.Random(f"{self._seed}:{word}")
        places = range(1, len(word))
        chosen = [draw.sample(places, 2) for _ in range(4)]
        edits = [word[: p - 1] + word[p] + word[p - 1] + word[p + 1 :] for p in chosen[0] if p > 1]
        edits += [word[:p] + word[p + 1 :] for p in chosen[1]]
        edits += [word[:p] + word[p] + word[p:] for p in chosen[2]]
        edits += [word[:p] + _beside(word[p], draw) + word[p + 1 :] for p in chosen[3]]
        return tuple(edit for edit in dict.fromkeys(edits) if edit != word and edit.lower() not in self._words)


class Synonyms:
    """The synonyms that a dictionary has for a word; a word with a capital letter may be a name and has none.

    Args:
        dictionary: where they come from.
        meaning: what keeps a synonym with another polarity, a number or an opposite from being offered.
    """

    def __init__(self, dictionary: Dictionary, meaning: Meaning) -> None:
        self._dictionary = dictionary
        self._meaning = meaning

    def of(self, word: str) -> Sequence[str]:
        """The synonyms of `word` in the order of the dictionary."""
        if word != word.lower() or self._meaning.fixed(word):
            return ()
        return [other for other in self._dictionary.synonyms(word) if self._meaning.keeps(word, other, unlisted=True)]


class EmbeddingNeighbours:
    """The nearest whole words of the model's own input embeddings, by cosine, at least 0.5, eight at most.

    TextFooler (Jin et al. 2020, arXiv:1907.11932) takes counter-fitted vectors, which keep antonyms apart and must be
    downloaded; a model's own table needs no download, but what is near in it may mean the opposite, which `meaning`
    keeps out. What it compares is two models under one attack, not a model with published TextFooler figures. A word
    with a capital letter may be a name and has none.

    Args:
        model: anything with `get_input_embeddings`; the module found is called, so packed tables work too.
        tokenizer: its vocabulary; word pieces, special tokens and anything but letters are left out.
        device: where the model is.
        meaning: what may stand for a word; nothing else is offered.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, device: str, meaning: Meaning) -> None:
        import torch

        self._meaning = meaning

        special = set(tokenizer.all_special_tokens)
        whole = whole_words({token: row for token, row in tokenizer.get_vocab().items() if token not in special})
        embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
        size = int(model.config.vocab_size)  # type: ignore[union-attr, arg-type]
        rows = {word: row for word, row in whole.items() if row < size}
        self._words = sorted(rows)
        self._index = {word: index for index, word in enumerate(self._words)}
        with torch.inference_mode():
            table = embedding(torch.tensor([rows[word] for word in self._words], dtype=torch.long, device=device))
            self._table = torch.nn.functional.normalize(table.float(), dim=1)  # [words, width]
        self._known: dict[str, tuple[str, ...]] = {}

    def of(self, word: str) -> Sequence[str]:
        """The neighbours of `word`, nearest first; none if the vocabulary does not have it whole."""
        if word not in self._known:
            known = word == word.lower() and word in self._index and not self._meaning.fixed(word)
            self._known[word] = self._nearest(word) if known else ()
        return self._known[word]

    def _nearest(self, word: str) -> tuple[str, ...]:
        import torch

        with torch.inference_mode():
            cosine = self._table @ self._table[self._index[word]]  # [words]
            found = cosine.topk(min(4 * _NEIGHBOURS, len(self._words)))
        near = [
            self._words[index]
            for value, index in zip(found.values.tolist(), found.indices.tolist(), strict=True)
            if value >= _LEAST_COSINE and self._meaning.keeps(word, self._words[index])
        ]
        return tuple(near[:_NEIGHBOURS])


def _beside(letter: str, draw: random.Random) -> str:
    """A letter whose key is next to that of `letter` on a US keyboard, in the same case; other characters stay."""
    for row in _ROWS:
        at = row.find(letter.lower())
        if at >= 0:
            near = draw.choice([row[place] for place in (at - 1, at + 1) if 0 <= place < len(row)])
            return near.upper() if letter.isupper() else near
    return letter
