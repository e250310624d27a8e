"""Texts with masked words, with words of the same part of speech, and pieces of texts (Tang et al. 2019)."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from bench.tasks.wording.dictionary import Dictionary
from bench.tasks.wording.words import Words


class WordsByPart:
    """The words of some texts by their part of speech, each drawn as often as it occurs there.

    Args:
        texts: what words are counted in, in lower case.
        dictionary: of parts of speech; a word that it does not know is never exchanged and never drawn.
    """

    def __init__(self, texts: Iterable[str], dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        counts = Counter(
            words.word(index).lower() for text in texts for words in [Words.of(text)] for index in range(len(words))
        )
        by_part: dict[str, list[str]] = defaultdict(list)
        for word in sorted(counts):
            part = dictionary.part(word)
            if part is not None:
                by_part[part].append(word)
        self._words = dict(by_part)
        self._sums = {
            part: list(itertools.accumulate(counts[word] for word in words)) for part, words in by_part.items()
        }

    def another(self, word: str, draws: random.Random) -> str:
        """A word of the same part of speech, perhaps the same word; `word` itself if its part is not known."""
        part = self._dictionary.part(word.lower())
        if part is None or part not in self._words:
            return word
        return draws.choices(self._words[part], cum_weights=self._sums[part])[0]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The rules by which a distilled biLSTM gets its transfer set (Tang et al. 2019, arXiv:1903.12136, §3.3).

    One number is drawn per word: it is masked, exchanged for a word of the same part of speech, or left. Then, with
    another probability, only an n-gram of the text is kept, n uniform from 1 to `longest`.

    Args:
        mask: probability of a word to become the mask token.
        pos: probability of a word to be exchanged.
        ngram: probability of a text to be cut to an n-gram.
        longest: words of the longest n-gram.
        mask_token: as the tokenizer writes it.
        parts: where exchanged words come from; None if `pos` is 0.
    """

    mask: float
    pos: float
    ngram: float
    longest: int
    mask_token: str
    parts: WordsByPart | None

    def __call__(self, text: str, draws: random.Random) -> str:
        """The text after one draw of all."""
        words = Words.of(text)
        changes: dict[int, str] = {}
        for index in range(len(words)):
            drawn = draws.random()
            if drawn < self.mask:
                changes[index] = self.mask_token
            elif drawn < self.mask + self.pos and self.parts is not None:
                changes[index] = self.parts.another(words.word(index), draws)
        if len(words) == 0 or draws.random() >= self.ngram:
            return words.replaced(changes)
        count = min(draws.randint(1, self.longest), len(words))
        first = draws.randrange(len(words) - count + 1)
        return _piece(words, changes, first, first + count)


def _piece(words: Words, changes: dict[int, str], first: int, end: int) -> str:
    """The words from `first` to before `end` with what stands between them."""
    pieces = []
    for index in range(first, end):
        pieces.append(changes.get(index, words.word(index)))
        if index + 1 < end:
            pieces.append(words.text[words.spans[index][1] : words.spans[index + 1][0]])
    return "".join(pieces)
