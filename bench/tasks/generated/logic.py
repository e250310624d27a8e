"""Quantified statements and what one says about another, decided exactly."""

from __future__ import annotations

import functools
import itertools
from typing import Literal, NamedTuple

from bench.tasks.generated.taxonomy import NOUNS, VERBS, leaves, words

Quantifier = Literal["every", "some", "no", "not every"]
QUANTIFIERS: tuple[Quantifier, ...] = ("every", "some", "no", "not every")
DENIAL: dict[Quantifier, Quantifier] = {"every": "not every", "not every": "every", "some": "no", "no": "some"}
ELSE = "anything else"
LEAVES = {word: leaves(tree, word) for tree in (NOUNS, VERBS) for word in words(tree)}


class Phrase(NamedTuple):
    """A noun or verb with modifiers; it covers what its head covers and every modifier is true of."""

    head: str
    modifiers: tuple[str, ...] = ()


class Statement(NamedTuple):
    """`<quantifier> <noun phrase> is <verb phrase>`."""

    quantifier: Quantifier
    noun: Phrase
    verb: Phrase


class Individual(NamedTuple):
    """A possible individual, as far as two statements can tell it from another."""

    noun: str
    verb: str
    true: frozenset[str]


def relation(premise: Statement, hypothesis: Statement) -> Literal["entailment", "neutral", "contradiction"]:
    """What the truth of `premise` says about `hypothesis`.

    Conventions: words of a taxonomy that share no leaf exclude each other; an individual does one thing at a time,
    or none of those listed; modifiers are independent of everything else; each noun phrase that occurs names at
    least one individual, as "every" and "no" presuppose in plain English.
    """
    denied = hypothesis._replace(quantifier=DENIAL[hypothesis.quantifier])
    if not satisfiable(premise, denied):
        return "entailment"
    if not satisfiable(premise, hypothesis):
        return "contradiction"
    return "neutral"


def satisfiable(first: Statement, second: Statement) -> bool:
    """Whether some world makes both true.

    "Every A is B" forbids the kinds in A but not B, "no A is B" those in both; what is not forbidden may exist. So
    the two, and the existence of their nouns, hold together exactly if each demand for an individual leaves a
    kind that is not forbidden.
    """
    kinds = _kinds(first, second)
    forbidden: set[Individual] = set()
    demands: list[set[Individual]] = []
    for quantifier, noun, verb in (first, second):
        restrictor = {kind for kind in kinds if _covers(noun, kind.noun, kind.true)}
        scope = {kind for kind in kinds if _covers(verb, kind.verb, kind.true)}
        demands.append(restrictor)
        named = restrictor - scope if quantifier in ("every", "not every") else restrictor & scope
        if quantifier in ("every", "no"):
            forbidden |= named
        else:
            demands.append(named)
    return all(demand - forbidden for demand in demands)


def _covers(phrase: Phrase, leaf: str, true: frozenset[str]) -> bool:
    """Whether an individual of this leaf, of which the modifiers `true` hold, is one of the phrase's."""
    return leaf in LEAVES[phrase.head] and true.issuperset(phrase.modifiers)


def _kinds(first: Statement, second: Statement) -> list[Individual]:
    """One kind for each combination that the phrases of the two statements tell apart."""
    nouns = _representatives(first.noun.head, second.noun.head)
    verbs = _representatives(first.verb.head, second.verb.head)
    modifiers = sorted({word for statement in (first, second) for p in statement[1:] for word in p.modifiers})
    subsets = [
        frozenset(chosen) for size in range(len(modifiers) + 1) for chosen in itertools.combinations(modifiers, size)
    ]
    return [Individual(*parts) for parts in itertools.product(nouns, verbs, subsets)]


@functools.cache
def _representatives(first: str, second: str) -> tuple[str, ...]:
    """One leaf for each combination of being covered or not by the two words of one taxonomy, else included."""
    every = (*sorted(LEAVES[first] | LEAVES[second]), ELSE)
    return tuple({(leaf in LEAVES[first], leaf in LEAVES[second]): leaf for leaf in every}.values())
