"""Sources of replacements by name, and what they are given; a package can add its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from bench.base.registry import Registry
from bench.measures.robustness.attacks.candidates import (
    Candidates,
    EmbeddingNeighbours,
    Synonyms,
    TypingErrors,
)
from bench.measures.robustness.attacks.meaning import Meaning, vader_lexicon
from bench.tasks.wording.dictionary import Dictionary, SourceMissingError, find_dictionary
from bench.tasks.wording.words import whole_words

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["word", "typing"]
KINDS: tuple[Kind, ...] = ("word", "typing")  # each is an attack of its own


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What is attacked: a model, its tokenizer, where it is, the seed, and the words that the reference knows."""

    model: nn.Module
    tokenizer: Any
    device: str
    seed: int
    known_words: frozenset[str]


class AttackSource(Protocol):
    """A source of replacements; `bench list choices` shows the first line of its documentation."""

    kind: ClassVar[Kind]

    def open(self, ground: Ground) -> Candidates:
        """The replacements for one attacked model; raises `SourceMissingError` if this machine lacks what it needs."""


ATTACK_SOURCES: Registry[type[AttackSource]] = Registry("attack source", modules=(), group="bench.attack_sources")


@dataclass(frozen=True)
class _KnownWords:
    """The words of a vocabulary and of a dictionary."""

    vocabulary: frozenset[str]
    dictionary: Dictionary | None

    def __contains__(self, word: object) -> bool:
        return word in self.vocabulary or (self.dictionary is not None and self.dictionary.part(str(word)) is not None)


@ATTACK_SOURCES.register("typing-errors")
class TypingSource:
    """Typing errors: letters swapped, left out, doubled, or a neighbouring key; never another known word."""

    kind: ClassVar[Kind] = "typing"

    def open(self, ground: Ground) -> Candidates:
        """Typing errors; known words are those of the reference and of the dictionary, if there is one."""
        try:
            dictionary = find_dictionary()
        except SourceMissingError:  # the record says so for the source that needs it
            dictionary = None
        return TypingErrors(seed=ground.seed, words=_KnownWords(ground.known_words, dictionary))


@ATTACK_SOURCES.register("wordnet")
class WordNetSource:
    """Synonyms in the first sense of the word, from WordNet on this machine."""

    kind: ClassVar[Kind] = "word"

    def open(self, ground: Ground) -> Candidates:
        """Synonyms of WordNet that keep the meaning by WordNet and VADER's lexicon."""
        del ground
        dictionary = find_dictionary()
        return Synonyms(dictionary, Meaning(dictionary, vader_lexicon()))


@ATTACK_SOURCES.register("embedding-neighbours")
class EmbeddingSource:
    """Neighbours in the attacked model's own input embeddings that are not opposites by WordNet and VADER's lexicon."""

    kind: ClassVar[Kind] = "word"

    def open(self, ground: Ground) -> Candidates:
        """Neighbours in the embeddings of the attacked model; a graph does not give its embeddings out."""
        if not hasattr(ground.model, "get_input_embeddings"):
            raise SourceMissingError("the model is a graph of another runtime, whose embeddings cannot be called alone")
        meaning = Meaning(find_dictionary(), vader_lexicon())
        return EmbeddingNeighbours(ground.model, ground.tokenizer, device=ground.device, meaning=meaning)


def known_words(tokenizer: Any) -> frozenset[str]:
    """The whole words of a tokenizer's vocabulary in lower case."""
    return frozenset(word.lower() for word in whole_words(tokenizer.get_vocab()))


def opened(ground: Ground) -> tuple[dict[Kind, list[Candidates]], dict[str, str]]:
    """The sources that this machine has, by kind, and by name why others are missing."""
    found: dict[Kind, list[Candidates]] = {}
    missing: dict[str, str] = {}
    for name, source in ATTACK_SOURCES.items():
        made = source()
        try:
            candidates = made.open(ground)
        except SourceMissingError as error:
            missing[name] = str(error)
        else:
            found.setdefault(made.kind, []).append(candidates)
    return found, missing
