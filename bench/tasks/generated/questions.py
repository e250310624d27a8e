"""Questions whose answer is a span of a short context with distracting facts (generated)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from bench.tasks.examples import Answer
from bench.tasks.generated.draw import Draw
from bench.tasks.generated.generator import GENERATORS, Candidate, SplitGenerator
from bench.tasks.generated.words import DEEDS, NAMES, TIMES, UNSEEN_NAMES, UNSEEN_PLACES, Deed

FACTS: Mapping[int, float] = {2: 0.5, 3: 0.35, 4: 0.15}
SHIFTED_FACTS: Mapping[int, float] = {3: 0.4, 4: 0.6}
SAME_DEED, SHIFTED_SAME_DEED = 0.2, 0.5
STRAY, SHIFTED_STRAY = 0.2, 0.3
TIMED = 0.25
PARTS = ("name", "thing", "place")


class Fact(NamedTuple):
    """`<name> <did> the <thing> in the <place> [time] .`"""

    name: str
    deed: Deed
    thing: str
    place: str
    time: str

    @property
    def text(self) -> str:
        """The fact in words."""
        return f"{self.name} {self.deed.past} the {self.thing} in the {self.place}{self.time} ."

    def question(self, part: str) -> str:
        """The question that this fact answers with its `part`."""
        if part == "name":
            return f"who {self.deed.past} the {self.thing} ?"
        if part == "thing":
            return f"what did {self.name} {self.deed.infinitive} ?"
        return f"where did {self.name} {self.deed.infinitive} the {self.thing} ?"

    def offset(self, part: str) -> int:
        """The character of `text` at which its `part` starts."""
        before = {"name": "", "thing": f"{self.name} {self.deed.past} the "}
        return len(before.get(part, f"{self.name} {self.deed.past} the {self.thing} in the "))


class QuestionsGenerator(SplitGenerator):
    """Contexts of two to four facts and a question about one of them.

    Most deeds have their usual places, so that a good part can be had from what goes with what; some facts stray
    from the usual, and in some contexts two people do the same, so that only reading the right fact helps. No two
    facts of a context share a person, or both deed and thing, so the answer is unique. The shifted split has more
    facts, more strays and rivals, every word as frequent as the next, and a person or place never seen in training.
    """

    name: ClassVar[str] = "questions"
    version: ClassVar[str] = "1"
    sizes: ClassVar[Mapping[str, int]] = {"train": 4000, "validation": 500, "test": 500, "ood": 400}
    strata: ClassVar[int] = len(PARTS)

    def propose(self, draw: Draw, *, shifted: bool) -> Candidate | None:
        """A context with its question; None if another fact would answer it too."""
        part = draw.pick(PARTS)
        target, *others = facts = _facts(draw, shifted=shifted)
        if any((other.deed, other.thing) == (target.deed, target.thing) for other in others):
            return None
        if shifted and not any(fact.name in UNSEEN_NAMES or fact.place in UNSEEN_PLACES for fact in facts):
            return None
        order = draw.shuffled(facts)
        context = " ".join(fact.text for fact in order)
        start = sum(len(fact.text) + 1 for fact in order[: order.index(target)]) + target.offset(part)
        question = target.question(part)
        return Candidate(
            text=question,
            pair=context,
            label=None,
            answers=(Answer(getattr(target, part), start),),
            stratum=PARTS.index(part),
            key=f"{question} {context}",
        )


def _facts(draw: Draw, *, shifted: bool) -> list[Fact]:
    """The facts of a context, the one that is asked about first; nobody does two things."""
    count = draw.weighted(SHIFTED_FACTS if shifted else FACTS)
    pick = draw.pick if shifted else draw.zipf
    deed = pick(DEEDS)
    deeds = [deed, *draw.sample([other for other in DEEDS if other != deed], count - 1)]
    if draw.chance(SHIFTED_SAME_DEED if shifted else SAME_DEED):
        deeds[1] = deed
    known = [*NAMES, *UNSEEN_NAMES] if shifted else NAMES
    name = pick(known)
    names = [name, *draw.sample([other for other in known if other != name], count - 1)]
    return [_fact(draw, *two, shifted=shifted) for two in zip(names, deeds, strict=True)]


def _fact(draw: Draw, name: str, deed: Deed, *, shifted: bool) -> Fact:
    pick = draw.pick if shifted else draw.zipf
    place = pick(deed.places)
    places = [place for other in DEEDS for place in other.places]
    if draw.chance(SHIFTED_STRAY if shifted else STRAY):
        place = draw.pick([*UNSEEN_PLACES, *places] if shifted else places)
    return Fact(name, deed, pick(deed.things), place, f" {draw.pick(TIMES)}" if draw.chance(TIMED) else "")


GENERATORS.register(QuestionsGenerator.name)(QuestionsGenerator())
