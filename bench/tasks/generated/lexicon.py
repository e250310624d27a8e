"""Sentences of an invented language and their translation, word by word but for one rule of order (generated)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench.tasks.generated.draw import Draw
from bench.tasks.generated.generator import GENERATORS, Candidate, SplitGenerator

NOUNS = {"kalu": "dog", "mire": "cat", "sota": "bird", "peno": "horse", "ludi": "fish", "varo": "child", "tiga": "man"}
ADJECTIVES = {"bru": "small", "olfa": "old", "hin": "black", "wes": "happy", "zur": "quick"}
VERBS = {"dakt": "sees", "lomt": "follows", "pirt": "hears", "fent": "finds", "gost": "feeds"}
PLACES = {"onda": "by the river", "urma": "near the house", "esk": "under the tree"}
DETERMINERS = {"ra": "the", "un": "a"}
ADJECTIVE, PLACE = 0.5, 0.4


class LexiconGenerator(SplitGenerator):
    """`text` is the invented sentence, `target` its one right translation: subject, verb, object, perhaps a place.

    The invented language has the adjective behind its noun and the verb at the end; English has them in its own order,
    so that a model must learn words and where they go. Every sentence of the shifted split has both adjectives and a
    place, which makes it longer than most in training.
    """

    name: ClassVar[str] = "lexicon"
    version: ClassVar[str] = "1"
    sizes: ClassVar[Mapping[str, int]] = {"train": 4000, "validation": 200, "test": 200, "ood": 200}
    strata: ClassVar[int] = 1

    def propose(self, draw: Draw, *, shifted: bool) -> Candidate | None:
        """A sentence with its translation."""
        subject, subject_out = _noun_phrase(draw, shifted=shifted)
        object_, object_out = _noun_phrase(draw, shifted=shifted)
        verb = draw.pick(tuple(VERBS))
        place = draw.pick(tuple(PLACES)) if shifted or draw.chance(PLACE) else None
        text = " ".join((*([place] if place else []), subject, object_, verb, "."))
        ending = f" {PLACES[place]}" if place else ""
        target = f"{subject_out} {VERBS[verb]} {object_out}{ending} ."
        return Candidate(text=text, pair=None, label=None, answers=(), stratum=0, key=text, target=target)


def _noun_phrase(draw: Draw, *, shifted: bool) -> tuple[str, str]:
    """`ra kalu bru` and `the small dog`, perhaps without the adjective."""
    determiner, noun = draw.pick(tuple(DETERMINERS)), draw.pick(tuple(NOUNS))
    if not shifted and not draw.chance(ADJECTIVE):
        return f"{determiner} {noun}", f"{DETERMINERS[determiner]} {NOUNS[noun]}"
    adjective = draw.pick(tuple(ADJECTIVES))
    return f"{determiner} {noun} {adjective}", f"{DETERMINERS[determiner]} {ADJECTIVES[adjective]} {NOUNS[noun]}"


class CopyGenerator(SplitGenerator):
    """Words in random order; `target` is the same words again, in the same order."""

    name: ClassVar[str] = "copy"
    version: ClassVar[str] = "1"
    sizes: ClassVar[Mapping[str, int]] = {"train": 2000, "validation": 100, "test": 100, "ood": 100}
    strata: ClassVar[int] = 1
    words: ClassVar[tuple[str, ...]] = (*NOUNS, *ADJECTIVES)

    def propose(self, draw: Draw, *, shifted: bool) -> Candidate | None:
        """Four to seven words, or eight and nine in the shifted split."""
        count = draw.pick((8, 9)) if shifted else draw.pick((4, 5, 6, 7))
        words = [draw.pick(self.words) for _ in range(count)]
        text, target = " ".join(words), " ".join(self.written(words))
        return Candidate(text=text, pair=None, label=None, answers=(), stratum=0, key=text, target=target)

    def written(self, words: list[str]) -> list[str]:
        """The words of the target."""
        return words


class ReverseGenerator(CopyGenerator):
    """Words in random order; `target` is the same words from the last to the first."""

    name: ClassVar[str] = "reverse"

    def written(self, words: list[str]) -> list[str]:
        """The words of the target."""
        return words[::-1]


for _generator in (LexiconGenerator(), CopyGenerator(), ReverseGenerator()):
    GENERATORS.register(_generator.name)(_generator)
