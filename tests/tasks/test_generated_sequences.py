"""Generated translation and text: what the rules say, and what knowing the chain is worth."""

import math

import pytest
from made_splits import made

from bench.tasks.generated.chain import CHAIN, END, FEWEST, MOST, nats
from bench.tasks.generated.lexicon import ADJECTIVES, DETERMINERS, NOUNS, PLACES, VERBS

TRANSLATIONS = ("lexicon", "copy", "reverse")


def translated(text):
    """The translation by another way: read from behind, words by their class."""
    words = text.split()[:-1]
    place = PLACES[words.pop(0)] if words[0] in PLACES else None
    verb = VERBS[words.pop()]
    phrases, phrase = [], []
    for word in words:
        if word in DETERMINERS and phrase:
            phrases.append(phrase)
            phrase = []
        phrase.append(word)
    phrases.append(phrase)
    written = [" ".join([DETERMINERS[p[0]], *(ADJECTIVES[word] for word in p[2:]), NOUNS[p[1]]]) for p in phrases]
    return " ".join([written[0], verb, written[1], *([place] if place else []), "."])


@pytest.mark.parametrize("split", ["train", "validation", "ood"])
def test_every_lexicon_target_is_the_one_right_translation(split):
    examples = made("lexicon", split)
    assert all(example.target == translated(example.text) for example in examples)
    assert len({example.target for example in examples}) > 100


def test_copies_and_reversals_are_what_they_say():
    assert all(example.target == example.text for example in made("copy", "train"))
    assert all(example.target.split() == example.text.split()[::-1] for example in made("reverse", "train"))
    assert [e.text for e in made("copy", "train")][:50] != [e.text for e in made("reverse", "train")][:50]


@pytest.mark.parametrize("task", [*TRANSLATIONS, "chain"])
def test_splits_share_no_text_and_come_again_with_their_seed(task):
    splits = {split: {example.text for example in made(task, split)} for split in ("train", "validation", "test")}
    assert not splits["train"] & splits["validation"]
    assert not splits["train"] & splits["test"]
    assert not splits["validation"] & splits["test"]
    assert made(task, "validation", 1) != made(task, "validation")
    assert all(len(splits[split]) == len(made(task, split)) for split in splits)


@pytest.mark.parametrize("task", [*TRANSLATIONS, "chain"])
def test_shifted_texts_are_longer_or_rarer(task):
    def mean(split):
        examples = made(task, split)
        return sum(nats(e.text) if task == "chain" else len(e.text.split()) for e in examples) / len(examples)

    assert mean("ood") > mean("validation") * 1.2


def test_the_chain_is_a_distribution_over_what_it_can_reach():
    assert all(math.isclose(math.fsum(followers.values()), 1) for followers in CHAIN.values())
    assert {word for followers in CHAIN.values() for word in followers} == set(CHAIN)
    assert all(FEWEST <= len(e.text.split()) <= MOST for e in made("chain", "train"))


def test_counted_pairs_of_words_foretell_the_text_as_well_as_the_chain_itself():
    counts = {word: dict.fromkeys(CHAIN, 0.1) for word in CHAIN}
    for example in made("chain", "train"):
        words = example.text.split()
        for before, after in zip([END, *words], [*words, END], strict=True):
            counts[before][after] += 1
    known = counted = tokens = 0.0
    for example in made("chain", "validation"):
        words = example.text.split()
        for before, after in zip([END, *words], [*words, END], strict=True):
            counted -= math.log(counts[before][after] / sum(counts[before].values()))
        known += nats(example.text)
        tokens += len(words) + 1
    assert math.exp(counted / tokens) == pytest.approx(math.exp(known / tokens), rel=0.1)
    assert 2 < math.exp(known / tokens) < 6
