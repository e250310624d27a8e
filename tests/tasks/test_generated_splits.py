from __future__ import annotations

import itertools
from collections import Counter
from statistics import mean

import pytest
from made_splits import TASKS, made, words

from bench.base.errors import DataError, UnknownNameError
from bench.tasks.generated.draw import Draw
from bench.tasks.generated.generator import GENERATORS, Candidate, SplitGenerator

SIZES = {"train": 4000, "validation": 500, "test": 500, "ood": 400}


def test_the_four_generators_are_registered():
    assert set(TASKS) <= set(GENERATORS.names())


@pytest.mark.parametrize("task", TASKS)
def test_each_split_has_its_size_and_no_uid_twice(task):
    for split, size in SIZES.items():
        examples = made(task, split)
        assert len(examples) == len({example.uid for example in examples}) == size


@pytest.mark.parametrize("task", TASKS)
def test_no_example_is_in_two_splits_in_either_order_of_its_texts(task):
    keys = {split: {frozenset((x.text, x.pair)) for x in made(task, split)} for split in SIZES}
    for one, other in itertools.combinations(SIZES, 2):
        assert not keys[one] & keys[other]
    assert all(len(keys[split]) == size for split, size in SIZES.items())


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_gives_the_same_examples_again_and_another_seed_others(task):
    generator = GENERATORS.get(task)
    again = generator.generate("validation", 0)
    assert again == made(task, "validation")
    assert {x.text for x in generator.generate("validation", 1)} != {x.text for x in again}


@pytest.mark.parametrize("task", TASKS)
def test_every_shifted_example_has_a_word_unseen_in_training_and_no_other_split_has(task):
    seen = {word for example in made(task, "train") for word in words(example)}
    assert all(set(words(example)) - seen for example in made(task, "ood"))
    for split in ("validation", "test"):
        assert all(set(words(example)) <= seen for example in made(task, split))


@pytest.mark.parametrize("task", TASKS)
def test_shifted_examples_are_longer_on_average(task):
    assert mean(len(words(x)) for x in made(task, "ood")) > 1.05 * mean(len(words(x)) for x in made(task, "train"))


@pytest.mark.parametrize("task", TASKS)
def test_examples_fit_the_demo_suites_length(task):
    # [CLS], two [SEP], and an unseen word of three or four letters as that many pieces
    for split in SIZES:
        seen = {word for example in made(task, "train") for word in words(example)}
        for example in made(task, split):
            assert 3 + sum(1 if word in seen else len(word) for word in words(example)) <= 64


@pytest.mark.parametrize("task", ["inference", "sentiment"])
def test_labels_are_balanced_in_every_split_and_mixed_in_order(task):
    for split in SIZES:
        labels = [example.label for example in made(task, split)]
        counts = Counter(labels)
        assert max(counts.values()) - min(counts.values()) <= 1
        half = Counter(labels[: len(labels) // 2])
        assert all(abs(half[label] - counts[label] / 2) < 0.1 * len(labels) for label in counts)


def test_the_whole_vocabulary_stays_small():
    seen = {word for task in TASKS for split in SIZES for example in made(task, split) for word in words(example)}
    assert 150 < len(seen) < 800


def test_an_unknown_split_is_refused_with_its_name():
    with pytest.raises(UnknownNameError, match=r"generator sentiment: no split named 'trian'. Did you mean 'train'"):
        GENERATORS.get("sentiment").generate("trian", 0)


def test_a_grammar_with_too_few_sentences_says_so_instead_of_searching_for_ever():
    class Poor(SplitGenerator):
        name = "poor"
        version = "1"
        sizes = {"train": 3}  # noqa: RUF012 - a class of one test
        strata = 1

        def propose(self, draw, *, shifted):
            return Candidate(text="same", pair=None, label=0, answers=(), stratum=0, key="same")

    with pytest.raises(DataError, match=r"poor: [01] of 3 examples of split 'train' found"):
        Poor().generate("train", 0)


def test_draws_follow_their_probabilities():
    draw = Draw("frequencies")
    count = 20000
    zipf = Counter(draw.zipf("abc") for _ in range(count))
    assert zipf["a"] / count == pytest.approx(6 / 11, abs=0.02)
    assert zipf["c"] / count == pytest.approx(2 / 11, abs=0.02)
    weighted = Counter(draw.weighted({"x": 1.0, "y": 3.0}) for _ in range(count))
    assert weighted["y"] / count == pytest.approx(0.75, abs=0.02)
    orders = Counter("".join(draw.shuffled("abc")) for _ in range(count))
    assert len(orders) == 6
    assert all(seen / count == pytest.approx(1 / 6, abs=0.02) for seen in orders.values())


def test_draws_are_the_same_on_every_python():
    draw = Draw("golden")
    found = [draw.pick("abcdef") for _ in range(8)], draw.shuffled("abcd"), draw.zipf("abc")
    assert found == (list("ecbacfba"), list("cbad"), "a")
