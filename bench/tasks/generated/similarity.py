"""Sentence pairs with a score for how much of one event they share (generated)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from bench.tasks.generated.draw import Draw
from bench.tasks.generated.generator import GENERATORS, Candidate, SplitGenerator
from bench.tasks.generated.words import (
    ACTIONS,
    AGENTS,
    PLACES,
    SETTINGS,
    THINGS,
    UNSEEN_AGENTS,
    UNSEEN_THINGS,
    Scenes,
)

RELATED = 0.5
SAME_SCENE, FRONTED = 0.6, 0.25
STRAY, SHIFTED_STRAY = 0.1, 0.3
SET, SHIFTED_SET = 0.2, 0.6
UNSEEN = 0.3
STRATA = 5


class Happening(NamedTuple):
    """Who does what to what, and where."""

    agent: str
    action: str
    thing: str
    place: str


class EventPart(NamedTuple):
    """One part of an event: the words that may fill it, and what it adds to the score of 5 when shared."""

    scenes: Scenes
    weight: float
    unseen: tuple[str, ...] = ()


SLOTS = (
    EventPart(AGENTS, 1.25, UNSEEN_AGENTS),
    EventPart(ACTIONS, 1.5),
    EventPart(THINGS, 1.25, UNSEEN_THINGS),
    EventPart(PLACES, 1.0),
)


def likeness(first: Happening, second: Happening) -> float:
    """The score from 0 to 5: over the slots, weight times 1 (same or synonym), 0.5 (of one scene) or 0."""
    return sum(slot.weight * _alike(slot.scenes, *two) for slot, *two in zip(SLOTS, first, second, strict=True))


class SimilarityGenerator(SplitGenerator):
    """Pairs of events scored from 0 (nothing shared) to 5 (the same event, perhaps in other words).

    Words are as frequent as in text (Zipf) and scores are spread evenly over five bands. Each pair of the shifted
    split has an agent or a thing never seen in training; its sentences are longer, keep to one scene less often, and
    each seen word is as frequent as the next.
    """

    name: ClassVar[str] = "similarity"
    version: ClassVar[str] = "1"
    sizes: ClassVar[Mapping[str, int]] = {"train": 4000, "validation": 500, "test": 500, "ood": 400}
    strata: ClassVar[int] = STRATA

    def propose(self, draw: Draw, *, shifted: bool) -> Candidate | None:
        """A pair of sentences that may be the same event, never the same text."""
        closeness = draw.uniform()
        scene = draw.zipf(range(len(AGENTS)))
        other = scene if draw.chance(SAME_SCENE) else draw.zipf(range(len(AGENTS)))
        stray = SHIFTED_STRAY if shifted else STRAY
        chosen = [_fillers(draw, slot, scene, other, closeness, stray, unseen=shifted) for slot in SLOTS]
        first, second = (Happening(*words) for words in zip(*chosen, strict=True))
        text, pair = (_sentence(draw, event, shifted=shifted) for event in (first, second))
        if text == pair or (shifted and not {*first, *second} & {*UNSEEN_AGENTS, *UNSEEN_THINGS}):
            return None
        score = round(likeness(first, second), 2)
        stratum = min(int(score), STRATA - 1)
        key = " ".join(sorted((text, pair)))
        return Candidate(text=text, pair=pair, label=score, answers=(), stratum=stratum, key=key)


def _alike(scenes: Scenes, first: str, second: str) -> float:
    """1 for the same word or a synonym, RELATED for words of one scene, 0 otherwise."""
    if first == second:
        return 1.0
    positions = _positions(scenes)
    if first not in positions or second not in positions or positions[first][0] != positions[second][0]:
        return 0.0
    return 1.0 if positions[first] == positions[second] else RELATED


@functools.cache
def _positions(scenes: Scenes) -> dict[str, tuple[int, int]]:
    """Scene and group of each word."""
    return {
        word: (row, column)
        for row, groups in enumerate(scenes)
        for column, group in enumerate(groups)
        for word in group
    }


def _fillers(
    draw: Draw, slot: EventPart, scene: int, other: int, closeness: float, stray: float, *, unseen: bool
) -> tuple[str, str]:
    """Two words for a slot; within one scene the nearer in meaning the larger `closeness` is (a share, 0 to 1)."""
    if unseen and slot.unseen and draw.chance(UNSEEN):
        word = draw.pick(slot.unseen)
        return word, word if draw.chance(closeness) else draw.pick(slot.unseen)
    if draw.chance(stray):
        scene, other = draw.zipf(range(len(slot.scenes))), draw.zipf(range(len(slot.scenes)))
    pick = draw.pick if unseen else draw.zipf
    group = pick(slot.scenes[scene])
    if scene == other and draw.chance(closeness):
        return pick(group), pick(group)
    return pick(group), pick(pick(slot.scenes[other]))


def _sentence(draw: Draw, event: Happening, *, shifted: bool) -> str:
    """The event in words, the place at its end or at its front."""
    setting = ""
    if draw.chance(SHIFTED_SET if shifted else SET):
        setting = f" {draw.pick(SETTINGS)}"
    if draw.chance(FRONTED):
        return f"in the {event.place} the {event.agent} {event.action} the {event.thing}{setting} ."
    return f"the {event.agent} {event.action} the {event.thing} in the {event.place}{setting} ."


GENERATORS.register(SimilarityGenerator.name)(SimilarityGenerator())
