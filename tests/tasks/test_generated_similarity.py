from __future__ import annotations

import re
from statistics import mean

import pytest
from made_splits import made

from bench.tasks.generated.similarity import SLOTS, Happening, likeness

EVENT = re.compile(r"the (\w+) (\w+) the (\w+) in the (\w+)(?: (?:again|at noon|on friday|in the rain))? \.")
FRONTED = re.compile(r"in the (\w+) the (\w+) (\w+) the (\w+)(?: (?:again|at noon|on friday|in the rain))? \.")
WEIGHTS = {"agent": 1.25, "action": 1.5, "thing": 1.25, "place": 1.0}


def read(text):
    """Agent, action, thing and place, read from the words."""
    if found := EVENT.fullmatch(text):
        return Happening(*found.groups())
    found = FRONTED.fullmatch(text)
    assert found, text
    place, agent, action, thing = found.groups()
    return Happening(agent, action, thing, place)


def shared(slot, first, second):
    """How much of one slot two words share, by search through its synonym groups."""
    if first == second:
        return 1.0
    for scene in slot.scenes:
        if any({first, second} <= set(group) for group in scene):
            return 1.0
        if {first, second} <= {word for group in scene for word in group}:
            return 0.5
    return 0.0


@pytest.mark.parametrize("split", ["train", "validation", "test", "ood"])
def test_every_score_is_what_a_second_reading_of_both_texts_gives(split):
    for example in made("similarity", split):
        first, second = read(example.text), read(example.pair)
        parts = zip(WEIGHTS.values(), SLOTS, first, second, strict=True)
        score = sum(weight * shared(slot, a, b) for weight, slot, a, b in parts)
        assert example.label == pytest.approx(score, abs=0.0051)


def test_the_score_is_symmetric_and_five_for_the_same_event():
    for example in made("similarity", "validation"):
        first, second = read(example.text), read(example.pair)
        assert likeness(first, second) == likeness(second, first)
        assert likeness(first, first) == 5.0
        assert 0 <= likeness(first, second) <= 5


def test_synonyms_count_in_full_and_relatives_by_half():
    event = Happening("boy", "washes", "sofa", "cellar")
    assert likeness(event, Happening("lad", "cleans", "couch", "basement")) == 5.0
    assert likeness(event, event._replace(action="breaks")) == 5 - 0.75
    assert likeness(event, event._replace(agent="sailor")) == 5 - 1.25


def test_no_word_stands_in_two_groups_of_a_slot():
    for slot in SLOTS:
        every = [word for scene in slot.scenes for group in scene for word in group] + list(slot.unseen)
        assert len(every) == len(set(every))


def test_scores_are_spread_over_the_whole_range():
    for split in ("train", "validation", "test"):
        scores = [example.label for example in made("similarity", split)]
        assert {min(int(score), 4) for score in scores} == {0, 1, 2, 3, 4}
        assert 2 < mean(scores) < 3


def test_counting_shared_words_does_not_solve_it():
    import numpy as np

    held = made("similarity", "validation")
    overlap = [len(set(x.text.split()) & set(x.pair.split())) for x in held]
    assert np.corrcoef(overlap, [x.label for x in held])[0, 1] < 0.8
