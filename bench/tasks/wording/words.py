"""The words of a text and of a vocabulary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


@dataclass(frozen=True, slots=True)
class Words:
    """A text and the (start, end) characters of its words; everything between words stays as it is."""

    text: str
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> Words:
        """Split `text` into runs of letters and digits, inner apostrophes included."""
        return cls(text, tuple(match.span() for match in _WORD.finditer(text)))

    def __len__(self) -> int:
        return len(self.spans)

    def word(self, index: int) -> str:
        """The word at `index` as the text has it."""
        start, end = self.spans[index]
        return self.text[start:end]

    def replaced(self, changes: Mapping[int, str]) -> str:
        """The text with the words at the keys of `changes` replaced by its values; an empty value leaves one out."""
        pieces: list[str] = []
        position = 0
        for index in sorted(changes):
            start, end = self.spans[index]
            pieces += (self.text[position:start], changes[index])
            position = end
        return "".join(pieces) + self.text[position:]


def whole_words(vocabulary: dict[str, int]) -> dict[str, int]:
    """The tokens that are words by themselves, without the tokenizer's mark, at least two letters and nothing else.

    Byte-level BPE marks a word's beginning with "Ġ", SentencePiece with "▁"; WordPiece marks what continues with "##".
    """
    for mark in ("Ġ", "▁"):
        if any(token.startswith(mark) for token in vocabulary):
            vocabulary = {token[1:]: row for token, row in vocabulary.items() if token.startswith(mark)}
            break
    return {token: row for token, row in vocabulary.items() if len(token) > 1 and token.isalpha()}
