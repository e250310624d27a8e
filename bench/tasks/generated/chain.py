"""Lines of a Markov chain over words, whose probabilities are known (generated)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from bench.tasks.generated.draw import Draw
from bench.tasks.generated.generator import GENERATORS, Candidate, SplitGenerator

END = ""  # the state that ends a line
FEWEST, MOST = 5, 20  # words of a line
_FIRST = ("the", "a", "one")
_MIDDLE = ("old", "small", "grey", "quiet", "tall")
_NOUNS = ("boat", "hill", "road", "lamp", "garden", "river", "tower", "field")
_VERBS = ("meets", "leaves", "faces", "crosses", "hides")
_LINKS = ("and", "while", "but")
WEIGHTS = (0.4, 0.25, 0.15, 0.1, 0.06, 0.04)  # of a word's likeliest followers, the likeliest first


def _followers() -> dict[str, dict[str, float]]:
    """What may follow each word and how likely; each word of a class prefers other words of the next one."""
    chain: dict[str, dict[str, float]] = {END: _ranked(0, _FIRST)}
    for number, word in enumerate(_FIRST):
        chain[word] = _ranked(number, _MIDDLE + _NOUNS)
    for number, word in enumerate(_MIDDLE):
        chain[word] = _ranked(number, _NOUNS)
    for number, word in enumerate(_NOUNS):
        chain[word] = _ranked(number, (*_VERBS, *_LINKS, END))
    for number, word in enumerate(_VERBS):
        chain[word] = _ranked(number, _FIRST)
    for number, word in enumerate(_LINKS):
        chain[word] = _ranked(number, _FIRST)
    return chain


def _ranked(number: int, words: tuple[str, ...]) -> dict[str, float]:
    """At most six of `words`, beginning with the `number`-th, with falling probabilities that add up to 1."""
    turned = [words[(number + place) % len(words)] for place in range(len(words))][: len(WEIGHTS)]
    total = math.fsum(WEIGHTS[: len(turned)])
    return dict(zip(turned, (weight / total for weight in WEIGHTS), strict=False))


CHAIN = _followers()


def nats(text: str) -> float:
    """The negative log-probability of a line under the chain, its end included.

    What a model that has learnt the chain and nothing else pays. It is a mark to come near to and no bound: each line
    is kept once and only if its length fits, which makes rare lines more frequent than the chain has them.
    """
    words = text.split()
    steps = zip([END, *words], [*words, END], strict=True)
    return -math.fsum(math.log(CHAIN[before][after]) for before, after in steps)


class ChainGenerator(SplitGenerator):
    """`text` is one walk through the chain from start to end; the shifted split has the likely words least likely."""

    name: ClassVar[str] = "chain"
    version: ClassVar[str] = "1"
    sizes: ClassVar[Mapping[str, int]] = {"train": 4000, "validation": 300, "test": 300, "ood": 300}
    strata: ClassVar[int] = 1

    def propose(self, draw: Draw, *, shifted: bool) -> Candidate | None:
        """A line; None if the walk ends too soon or too late."""
        words: list[str] = []
        word = END
        while len(words) <= MOST:
            weights = CHAIN[word]
            if shifted:
                weights = dict(zip(weights, reversed(weights.values()), strict=True))
            word = draw.weighted(weights)
            if word == END:
                break
            words.append(word)
        text = " ".join(words)
        if not FEWEST <= len(words) <= MOST:
            return None
        return Candidate(text=text, pair=None, label=None, answers=(), stratum=0, key=text)


GENERATORS.register(ChainGenerator.name)(ChainGenerator())
