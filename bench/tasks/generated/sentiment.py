"""Sentiment of short reviews whose words mislead: negation, contrast and degree decide (generated)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from bench.tasks.generated.draw import Draw
from bench.tasks.generated.generator import GENERATORS, Candidate, SplitGenerator
from bench.tasks.generated.words import (
    ASPECTS,
    BAD,
    GOOD,
    NEGATORS,
    OPENERS,
    STRONGLY,
    UNSEEN_ASPECTS,
    WEAKLY,
)


class Clause(NamedTuple):
    """`the <aspect> was [negator] [degree] <adjective>`."""

    aspect: str
    negator: str
    degree: str
    adjective: str

    @property
    def value(self) -> int:
        """Signed strength: 1 slight, 2 plain, 3 strong; negation turns the sign and mirrors the strength.

        "not good" is as bad as "bad" (-2), "not very good" only slightly so (-1).
        """
        strength = 1 if self.degree in WEAKLY else 3 if self.degree in STRONGLY else 2
        sign = 1 if self.adjective in GOOD else -1
        return -sign * (4 - strength) if self.negator else sign * strength

    @property
    def text(self) -> str:
        """The clause in words."""
        return " ".join(word for word in ("the", self.aspect, "was", self.negator, self.degree, self.adjective) if word)


class Form(NamedTuple):
    """How clauses are joined: a template, the clauses that decide, and those that they outweigh."""

    template: str
    decide: tuple[int, ...]
    yield_: tuple[int, ...] = ()


PLAIN = Form("{0} .", (0,))
AND = Form("{0} and {1} .", (0, 1))
BUT = Form("{0} , but {1} .", (1,), (0,))
ALTHOUGH = Form("although {0} , {1} .", (1,), (0,))
THOUGH_LAST = Form("{0} , although {1} .", (0,), (1,))
FORMS: Mapping[Form, float] = {PLAIN: 0.4, AND: 0.22, BUT: 0.23, ALTHOUGH: 0.1, THOUGH_LAST: 0.05}
SHIFTED_FORMS: Mapping[Form, float] = {
    PLAIN: 0.2,
    AND: 0.2,
    BUT: 0.15,
    ALTHOUGH: 0.1,
    THOUGH_LAST: 0.05,
    Form("{0} and {1} , but {2} .", (2,), (0, 1)): 0.2,
    Form("although {0} and {1} , {2} .", (2,), (0, 1)): 0.1,
}
NEGATED, SHIFTED_NEGATED = 0.27, 0.4
OPENED, SHIFTED_OPENED = 0.25, 0.4
STRONG, WEAK = 0.3, 0.25


class SentimentGenerator(SplitGenerator):
    """Reviews of one or two clauses; label 0 is negative, 1 positive.

    What follows "but" and what "although" is not attached to decides alone; clauses joined by "and" are added up, so
    that the stronger wins. Adjectives are as frequent as in text (Zipf). Each review of the shifted split has an aspect
    never seen in training; more have three clauses, an opening and negation, and each adjective is as frequent as the
    next.
    """

    name: ClassVar[str] = "sentiment"
    version: ClassVar[str] = "1"
    sizes: ClassVar[Mapping[str, int]] = {"train": 4000, "validation": 500, "test": 500, "ood": 400}
    strata: ClassVar[int] = 2

    def propose(self, draw: Draw, *, shifted: bool) -> Candidate | None:
        """A review, or None if its clauses balance out or a contrast contrasts nothing."""
        form = draw.weighted(SHIFTED_FORMS if shifted else FORMS)
        count = len(form.decide) + len(form.yield_)
        aspects = draw.sample(ASPECTS, count)
        if shifted:
            aspects = draw.shuffled([draw.pick(UNSEEN_ASPECTS), *aspects[1:]])
        clauses = [_clause(draw, aspect, shifted=shifted) for aspect in aspects]
        verdict = sum(clauses[index].value for index in form.decide)
        conceded = sum(clauses[index].value for index in form.yield_)
        if verdict == 0 or (form.yield_ and verdict * conceded >= 0):
            return None
        text = form.template.format(*(clause.text for clause in clauses))
        if draw.chance(SHIFTED_OPENED if shifted else OPENED):
            text = f"{draw.pick(OPENERS)} {text}"
        label = int(verdict > 0)
        return Candidate(text=text, pair=None, label=label, answers=(), stratum=label, key=text)


def _clause(draw: Draw, aspect: str, *, shifted: bool) -> Clause:
    """A clause about `aspect`; "hardly" takes no degree, and nothing is "not slightly" so."""
    pick = draw.pick if shifted else draw.zipf
    negator = pick(NEGATORS) if draw.chance(SHIFTED_NEGATED if shifted else NEGATED) else ""
    degree = ""
    if draw.chance(STRONG):
        degree = "" if negator == "hardly" else draw.pick(STRONGLY)
    elif draw.chance(WEAK):
        degree = "" if negator else draw.pick(WEAKLY)
    return Clause(aspect, negator, degree, pick(GOOD if draw.chance(0.5) else BAD))


GENERATORS.register(SentimentGenerator.name)(SentimentGenerator())
