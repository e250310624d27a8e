from __future__ import annotations

import functools
import itertools
import random

import numpy as np
import pytest
from made_splits import made

from bench.tasks.generated.logic import LEAVES, Phrase, Statement, relation

KINDS_OF = {
    "animal": ["poodle", "beagle", "terrier", "lion", "tiger", "leopard", "robin", "sparrow", "owl"],
    "dog": ["poodle", "beagle", "terrier"],
    "cat": ["lion", "tiger", "leopard"],
    "bird": ["robin", "sparrow", "owl"],
    "moving": ["running", "walking", "jumping"],
    "resting": ["sleeping", "sitting", "standing"],
}


def read(text):
    """Quantifier, noun, adjectives, verb and adverbs of a sentence."""
    quantifier = "not every" if text.startswith("not every") else text.split()[0]
    noun_phrase, verb_phrase = text.removeprefix(quantifier).removesuffix(" .").split(" is ")
    *adjectives, noun = noun_phrase.split()
    verb, *adverbs = verb_phrase.split()
    return quantifier, noun, adjectives, verb, adverbs


def oracle(premise, hypothesis):
    """The label by brute force: truth in every possible world of the individuals that the words tell apart."""
    one, two = read(premise), read(hypothesis)
    nouns = _cells(one[1], two[1])
    verbs = _cells(one[3], two[3])
    properties = sorted({*one[2], *two[2], *one[4], *two[4]})
    individuals = list(itertools.product(nouns, verbs, *([(False, True)] * len(properties))))
    if len(individuals) > 18:
        return None
    worlds = np.arange(2 ** len(individuals), dtype=np.int64)  # one bit an individual
    outcome = []
    possible = np.ones(len(worlds), dtype=bool)
    for place, (quantifier, _, adjectives, _, adverbs) in enumerate((one, two)):
        inside = both = 0
        for bit, (noun, verb, *has) in enumerate(individuals):
            true = dict(zip(properties, has, strict=True))
            is_noun = noun[place] and all(true[word] for word in adjectives)
            does = verb[place] and all(true[word] for word in adverbs)
            inside |= is_noun << bit
            both |= (is_noun and does) << bit
        possible &= (worlds & inside) != 0  # each noun phrase names something
        some = (worlds & both) != 0
        every = (worlds & inside & ~both) == 0
        outcome.append({"every": every, "some": some, "no": ~some, "not every": ~every}[quantifier])
    claimed = outcome[1][possible & outcome[0]]
    assert len(claimed), "the premise is true in some world"
    return 0 if claimed.all() else 2 if not claimed.any() else 1


@functools.cache
def _cells(first, second):
    """Which of (is first, is second) can hold together: every kind of the two words, and something that is neither."""
    kinds = {*KINDS_OF.get(first, [first]), *KINDS_OF.get(second, [second])}
    found = {(kind in KINDS_OF.get(first, [first]), kind in KINDS_OF.get(second, [second])) for kind in kinds}
    return sorted(found | {(False, False)})


@pytest.mark.parametrize(("split", "count"), [("train", 120), ("validation", 60), ("test", 60), ("ood", 60)])
def test_every_label_is_what_brute_force_over_all_worlds_gives(split, count):
    sample = random.Random(0).sample(made("inference", split), count)
    checked = [(example, oracle(example.text, example.pair)) for example in sample]
    checked = [(example, label) for example, label in checked if label is not None]
    assert len(checked) > count / 3
    assert {label for _, label in checked} == {0, 1, 2}
    for example, label in checked:
        assert example.label == label, (example.text, example.pair)


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        ("every dog is running .", "every poodle is moving .", 0),
        ("every poodle is running .", "every dog is running .", 1),
        ("no animal is moving .", "no small owl is running .", 0),
        ("some poodle is running quietly .", "some dog is moving .", 0),
        ("some dog is running .", "no animal is moving .", 2),
        ("every dog is sleeping .", "some beagle is running .", 2),
        ("some dog is sleeping .", "some dog is running .", 1),
        ("not every poodle is moving .", "not every dog is running .", 0),
        ("every lion is sitting .", "no owl is sitting .", 1),
    ],
)
def test_generator_and_brute_force_agree_with_plain_english(premise, hypothesis, label):
    assert oracle(premise, hypothesis) == label
    statements = []
    for text in (premise, hypothesis):
        quantifier, noun, adjectives, verb, adverbs = read(text)
        statements.append(Statement(quantifier, Phrase(noun, tuple(adjectives)), Phrase(verb, tuple(adverbs))))
    assert relation(*statements) == ("entailment", "neutral", "contradiction")[label]


def test_the_taxonomy_is_what_the_tests_say_it_is():
    for word, covered in LEAVES.items():
        assert covered == set(KINDS_OF.get(word, [word]))


def test_the_hypothesis_alone_does_not_give_the_label_away():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    train, held = made("inference", "train"), made("inference", "validation")
    counter = CountVectorizer(ngram_range=(1, 2))
    model = LogisticRegression(max_iter=2000).fit(
        counter.fit_transform([x.pair for x in train]), [x.label for x in train]
    )
    assert model.score(counter.transform([x.pair for x in held]), [x.label for x in held]) < 0.6
