"""Sentence pairs whose relation follows from a taxonomy and from quantifiers (generated)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench.tasks.generated.draw import Draw
from bench.tasks.generated.generator import GENERATORS, Candidate, SplitGenerator
from bench.tasks.generated.logic import QUANTIFIERS, Phrase, Statement, relation
from bench.tasks.generated.taxonomy import NOUNS, VERBS, Tree, parents, words
from bench.tasks.generated.words import ADJECTIVES, ADVERBS, UNSEEN_ADJECTIVES, UNSEEN_ADVERBS

LABELS = ("entailment", "neutral", "contradiction")
EDITS: Mapping[int, float] = {1: 0.75, 2: 0.25}
SHIFTED_EDITS: Mapping[int, float] = {1: 0.5, 2: 0.5}
MODIFIED, SHIFTED_MODIFIED = 0.35, 0.6
LEVELS = ("quantifier", "quantifier", "noun", "verb", "adjective", "adverb")


class InferenceGenerator(SplitGenerator):
    """Premise and hypothesis of one quantified statement each; labels 0 entailment, 1 neutral, 2 contradiction.

    The hypothesis changes the premise in one or two places: the quantifier, a word for a more general, more special
    or other one, or a modifier added or dropped. What follows from what is for `logic.relation` to say, under its
    conventions. The shifted split has a modifier never seen in training in each pair, longer sentences, more changes.
    """

    name: ClassVar[str] = "inference"
    version: ClassVar[str] = "1"
    sizes: ClassVar[Mapping[str, int]] = {"train": 4000, "validation": 500, "test": 500, "ood": 400}
    strata: ClassVar[int] = 3

    def propose(self, draw: Draw, *, shifted: bool) -> Candidate | None:
        """A pair; None if the two sentences are the same."""
        nouns, verbs = _modifiers(draw, shifted=shifted)
        modified = SHIFTED_MODIFIED if shifted else MODIFIED
        premise = Statement(
            draw.zipf(QUANTIFIERS),
            _phrase(draw, draw.zipf(words(NOUNS)), nouns, modified),
            _phrase(draw, draw.zipf(words(VERBS)), verbs, modified),
        )
        hypothesis = premise
        for level in draw.sample(LEVELS, draw.weighted(SHIFTED_EDITS if shifted else EDITS)):
            hypothesis = _edited(draw, hypothesis, level, nouns, verbs)
        text, pair = sentence(premise), sentence(hypothesis)
        used = {word for statement in (premise, hypothesis) for phrase in statement[1:] for word in phrase.modifiers}
        if text == pair or (shifted and not used & {*UNSEEN_ADJECTIVES, *UNSEEN_ADVERBS}):
            return None
        label = LABELS.index(relation(premise, hypothesis))
        key = " ".join(sorted((text, pair)))
        return Candidate(text=text, pair=pair, label=label, answers=(), stratum=label, key=key)


def sentence(statement: Statement) -> str:
    """The statement in words: adjectives before the noun, adverbs after the verb."""
    quantifier, noun, verb = statement
    return " ".join((quantifier, *noun.modifiers, noun.head, "is", verb.head, *verb.modifiers, "."))


def _modifiers(draw: Draw, *, shifted: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The adjectives and the adverb that the two sentences of a pair may use."""
    if not shifted:
        return (draw.pick(ADJECTIVES),), (draw.pick(ADVERBS),)
    return (draw.pick(UNSEEN_ADJECTIVES), draw.pick(ADJECTIVES)), (draw.pick(UNSEEN_ADVERBS),)


def _phrase(draw: Draw, head: str, modifiers: tuple[str, ...], probability: float) -> Phrase:
    return Phrase(head, tuple(word for word in modifiers if draw.chance(probability)))


def _edited(draw: Draw, statement: Statement, level: str, nouns: tuple[str, ...], verbs: tuple[str, ...]) -> Statement:
    quantifier, noun, verb = statement
    if level == "quantifier":
        quantifier = draw.pick([other for other in QUANTIFIERS if other != quantifier])
    elif level == "noun":
        noun = noun._replace(head=_near(draw, NOUNS, noun.head))
    elif level == "verb":
        verb = verb._replace(head=_near(draw, VERBS, verb.head))
    elif level == "adjective":
        noun = noun._replace(modifiers=nouns[1:] if noun.modifiers == nouns else nouns)
    else:
        verb = verb._replace(modifiers=() if verb.modifiers else verbs)
    return Statement(quantifier, noun, verb)


def _near(draw: Draw, tree: Tree, word: str) -> str:
    """A word more general, more special or beside it."""
    above = [ancestor for parent in parents(tree, word) for ancestor in (parent, *parents(tree, parent))]
    below = [child for child in tree.get(word, ()) for child in (child, *tree.get(child, ()))]
    beside = [other for other in words(tree) if other != word and other not in above and other not in below]
    return draw.pick(draw.pick([group for group in (above, above, below, below, beside) if group]))


GENERATORS.register(InferenceGenerator.name)(InferenceGenerator())
