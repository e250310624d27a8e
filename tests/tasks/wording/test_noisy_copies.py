"""Copies of texts with masked and exchanged words: exact counts, no labels, and the same draws for the same seed."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from bench.tasks.examples import Example
from bench.tasks.wording.copies import Rewording, edited, texts_of
from bench.tasks.wording.noise import Noise, WordsByPart


class Parts:
    """A dictionary of adjectives and nouns; every other word is unknown to it."""

    def part(self, word):
        return {"good": "adj", "bad": "adj", "great": "adj", "film": "noun", "plot": "noun"}.get(word)


TEXTS = ["The good film, really.", "A bad film and a bad plot", "great"]


def noise(**given):
    arguments = {"mask": 0.1, "pos": 0.1, "ngram": 0.25, "longest": 5, "mask_token": "[MASK]", **given}
    return Noise(parts=WordsByPart(TEXTS, Parts()), **arguments)


def test_without_any_noise_a_text_stays_as_it_is():
    assert noise(mask=0, pos=0, ngram=0)("The good film, really.", random.Random(0)) == "The good film, really."


def test_every_word_can_be_masked_and_what_stands_between_them_stays():
    assert noise(mask=1, pos=0, ngram=0)("The good film, really.", random.Random(0)) == "[MASK] [MASK] [MASK], [MASK]."


def test_words_are_exchanged_for_words_of_the_same_part_as_often_as_these_occur():
    edit, draws = noise(mask=0, pos=1, ngram=0), random.Random(0)
    count = 20_000
    drawn = Counter(edit("good", draws) for _ in range(count))
    shares = {"good": 1 / 4, "bad": 2 / 4, "great": 1 / 4}
    for word, share in shares.items():  # five standard deviations
        assert abs(drawn[word] / count - share) < 5 * (share * (1 - share) / count) ** 0.5
    assert sum(drawn.values()) == sum(drawn[word] for word in shares)
    assert edit("really", draws) == "really"  # no part of speech is known


def test_masks_and_exchanges_exclude_each_other_and_have_their_shares():
    edit, draws, count = noise(mask=0.1, pos=0.2, ngram=0), random.Random(1), 20_000
    kinds = Counter(edit("plot", draws) for _ in range(count))
    exchanged = 0.2 * 2 / 3  # film is drawn twice as often as plot, which is no change
    for word, share in {"[MASK]": 0.1, "film": exchanged}.items():
        assert abs(kinds[word] / count - share) < 5 * (share * (1 - share) / count) ** 0.5


def test_an_ngram_is_a_run_of_the_text_of_one_to_five_words_each_length_alike():
    text = "one two, three four five six seven"
    edit, draws, count = noise(mask=0, pos=0, ngram=1), random.Random(2), 5_000
    lengths = Counter()
    for _ in range(count):
        piece = edit(text, draws)
        assert piece in text
        lengths[len(re.findall(r"\w+", piece))] += 1
    assert set(lengths) == {1, 2, 3, 4, 5}
    assert all(abs(found / count - 0.2) < 5 * (0.2 * 0.8 / count) ** 0.5 for found in lengths.values())


def test_a_text_shorter_than_the_ngram_is_kept_whole_and_one_without_words_too():
    edit = noise(mask=0, pos=0, ngram=1, longest=5)
    assert {edit("one", random.Random(seed)) for seed in range(20)} == {"one"}
    assert edit("?!", random.Random(0)) == "?!"


EXAMPLES = [Example(uid=f"train-{row}", text=text, label=row % 2) for row, text in enumerate(TEXTS)]


def test_copies_are_those_of_the_seed_and_carry_no_label():
    edit = noise()
    first, again = (edited(EXAMPLES, edit, copies=20, seed=3) for _ in range(2))
    assert first == again != edited(EXAMPLES, edit, copies=20, seed=4)
    assert all(each.label is None for each in first.examples)
    assert len(first.examples) + first.repeated == 20 * len(EXAMPLES)
    assert len({(each.uid.partition("+")[0], each.text) for each in first.examples}) == len(first.examples)
    assert not {each.text for each in first.examples if each.uid.startswith("train-2+")} & {"great"}


def test_fewer_copies_are_the_first_of_more_and_other_examples_change_nothing():
    edit = noise()
    few, many = (edited(EXAMPLES, edit, copies=count, seed=3).examples for count in (4, 20))
    assert [each for each in many if int(each.uid.partition("+")[2]) < 4] == few
    assert edited(EXAMPLES[1:], edit, copies=4, seed=3).examples == [
        each for each in few if not each.uid.startswith("train-0+")
    ]


def test_of_a_pair_the_first_the_second_and_both_are_edited_in_turn():
    pair = [Example(uid="p", text="good film", pair="bad plot", label=1)]
    found = edited(pair, lambda text, draws: f"{text} {draws.random()}", copies=6, seed=0).examples
    assert [(each.text != "good film", each.pair != "bad plot") for each in found] == [
        (True, False),
        (False, True),
        (True, True),
    ] * 2


def test_a_copy_that_changes_nothing_is_counted_and_left_out():
    found = edited(EXAMPLES, lambda text, draws: text, copies=20, seed=0)
    assert found == ([], 60)


def test_words_are_reworded_with_their_probability_and_by_their_own_candidates():
    text, draws, count = "good film, really", random.Random(0), 10_000
    edit = Rewording(0.4)
    edit.candidates = {(text, 0): ("bad", "great"), (text, 2): ("truly",)}
    texts = Counter(edit(text, draws) for _ in range(count))
    assert all(re.fullmatch(r"(good|bad|great) film, (really|truly)", each) for each in texts)
    for word, share in {"bad": 0.2, "great": 0.2, "truly": 0.4}.items():
        found = sum(times for each, times in texts.items() if word in each) / count
        assert abs(found - share) < 5 * (share * (1 - share) / count) ** 0.5


def test_the_words_that_are_wanted_are_those_that_are_replaced_then():
    edit = Rewording(0.3)
    wanted = edit.wanted(EXAMPLES, copies=2, seed=1)
    everywhere = {(text, place): ("X",) for text in TEXTS for place in range(10)}
    edit.candidates = {(text, place): ("X",) for text, places in wanted.items() for place in places}
    few = edited(EXAMPLES, edit, copies=2, seed=1)
    edit.candidates = everywhere
    assert edited(EXAMPLES, edit, copies=2, seed=1) == few
    replaced = {word for each in few.examples for word in each.text.split() if "X" in word}
    assert replaced
    assert sum(map(len, wanted.values())) < len(everywhere)


@pytest.mark.parametrize(("pair", "expected"), [(None, ["a"]), ("b", ["a", "b"])])
def test_texts_to_edit_are_those_of_every_example_once(pair, expected):
    assert texts_of([Example(uid=str(uid), text="a", pair=pair) for uid in range(2)]) == expected
