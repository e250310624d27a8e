"""What an attack tries: the words that it may put in, and the search among them."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.measures.robustness.attacks.candidates import EmbeddingNeighbours, TypingErrors
from bench.measures.robustness.attacks.greedy import Target, run, search
from bench.tasks.wording.words import Words, whole_words


class Fixed:
    """A source with given replacements."""

    def __init__(self, **known):
        self.known = known

    def of(self, word):
        return self.known.get(word, [])


def scores(text):
    """Probability of class 1: a logistic function of the letters 'x' in the text."""
    own = 1 / (1 + np.exp(-(text.count("x") - 1.5)))
    return [1 - own, own]


def attacked(text, source, budget):
    target = Target(text=text, label=1, clean=scores(text)[1])
    return run([search(target, [source], budget=budget)], lambda rows: np.array([scores(text) for _, text in rows]))[0]


def test_the_search_finds_a_flip_of_one_word_where_there_is_one():
    outcome = attacked("a xxx b x", Fixed(xxx=["xx", "y", "x"], a=["b"], x=["z"]), budget=50)
    assert outcome.text == "a y b x"
    # one candidate each of a, xxx and x, then the second of xxx, which moved most; last, x is put back
    assert (outcome.flipped, outcome.changed, outcome.words, outcome.queries) == (True, 1, 4, 3 + 1 + 1)


def test_sources_take_turns_and_repeated_candidates_are_tried_once():
    asked = []

    def score(rows):
        asked.extend(text for _, text in rows)
        return np.array([[0.1, 0.9] for _ in rows])

    sources = [Fixed(a=["b", "c", "a"]), Fixed(a=["d", "b"])]
    run([search(Target(text="a", label=1, clean=0.9), sources, budget=9)], score)
    assert asked == ["b", "d", "c"]


def test_the_search_keeps_what_helps_and_agrees_with_brute_force():
    texts = ["".join(parts) for parts in itertools.product(("xx ", "x "), ("xx ", "x"), (" xx", " x"))]
    for text in texts:
        source = Fixed(xx=["x"], x=["o"])
        words = text.split()
        reachable = itertools.product(*([word, *source.of(word)] for word in words))
        possible = any(scores(" ".join(choice))[1] < 0.5 for choice in reachable)
        assert attacked(text, source, budget=50).flipped == possible


def test_more_candidates_never_save_a_text_where_greedy_is_exhaustive():
    """Each word counts for itself here, so the best change of each word is the best change of all."""
    draw = random.Random(5)
    flips = survivals = 0
    for _ in range(200):
        words = [draw.choice("abcd") + "x" * draw.randrange(3) for _ in range(4)]
        text, pools = " ".join(words), {word: ["o" + "x" * draw.randrange(4) for _ in range(5)] for word in words}
        if scores(text)[1] < 0.5:
            continue
        ends = []
        for count in range(6):
            source = Fixed(**{word: pool[:count] for word, pool in pools.items()})
            ends.append(attacked(text, source, budget=1000).flipped)
            reachable = itertools.product(*([word, *source.of(word)] for word in words))
            assert ends[-1] == any(scores(" ".join(choice))[1] < 0.5 for choice in reachable)
        assert ends == sorted(ends)
        flips += ends[-1]
        survivals += not ends[-1]
    assert flips > 20
    assert survivals > 5


def test_a_change_that_helps_the_true_class_is_not_made():
    outcome = attacked("a xx b", Fixed(a=["x", "xxx"], xx=["xxx"]), budget=50)
    assert (outcome.flipped, outcome.changed, outcome.text) == (False, 0, "a xx b")


def test_the_search_stops_at_its_budget():
    for budget in range(12):
        outcome = attacked("xx xx xx xx", Fixed(xx=["x", "xq", "xo"]), budget=budget)
        assert outcome.queries == budget
        assert not outcome.flipped


def test_no_more_words_differ_than_may_and_the_weakest_change_makes_room():
    source = Fixed(axxx=["axx"], bxxx=["b"], cxxx=["cxx"], dxxx=["dx"])
    target = Target(text="axxx bxxx cxxx dxxx", label=1, clean=scores("x" * 12)[1])
    score = lambda rows: np.array([scores(text) for _, text in rows])  # noqa: E731
    (outcome,) = run([search(target, [source], budget=50, most=2)], score)
    assert (outcome.flipped, outcome.changed, outcome.queries) == (False, 2, 4)
    assert outcome.text == "axxx b cxxx dx"


def test_words_are_replaced_where_they_stand():
    words = Words.of("It isn't good, is it?")
    assert [words.word(index) for index in range(len(words))] == ["It", "isn't", "good", "is", "it"]
    assert words.replaced({}) == words.text
    assert words.replaced({3: "was", 1: "ain't", 2: ""}) == "It ain't , was it?"


def test_typing_errors_are_near_the_word_and_the_same_every_time():
    edits = TypingErrors(seed=3).of("wonderful")
    assert edits == TypingErrors(seed=3).of("wonderful")
    assert edits != TypingErrors(seed=4).of("wonderful")
    assert 4 <= len(edits) <= 8
    for edit in edits:
        assert edit != "wonderful"
        assert edit[0] == "w"
        assert abs(len(edit) - 9) <= 1
        assert len(set("wonderful") ^ set(edit)) <= 2
    assert TypingErrors(seed=3).of("is") == ()
    assert TypingErrors(seed=3).of("isn't") == TypingErrors(seed=3).of("never") == TypingErrors(seed=3).of("2001") == ()
    known = TypingErrors(seed=3, words={edits[0]}).of("wonderful")
    assert known == edits[1:]  # an edit that is a word may mean anything
    assert "aaaa" not in TypingErrors(seed=3).of("aaaa")  # two equal letters swapped are no error


def test_neighbours_are_the_nearest_whole_words_of_the_models_own_table(tokenizer):
    vocabulary = tokenizer.get_vocab()
    table = torch.zeros(len(vocabulary), 3)
    for word, row in (("good", [1, 0, 0]), ("great", [9, 1, 0]), ("fun", [2, 2, 0]), ("bad", [-1, 0, 0])):
        table[vocabulary[word]] = torch.tensor(row, dtype=torch.float)
    table[vocabulary["[MASK]"]] = torch.tensor([1.0, 0, 0])
    embedding = torch.nn.Embedding.from_pretrained(table)
    model = SimpleNamespace(get_input_embeddings=lambda: embedding, config=SimpleNamespace(vocab_size=len(vocabulary)))
    anything = SimpleNamespace(fixed=lambda word: False, keeps=lambda word, other: word != other)
    neighbours = EmbeddingNeighbours(model, tokenizer, device="cpu", meaning=anything)
    assert neighbours.of("good") == ("great", "fun")
    assert neighbours.of("absent") == neighbours.of("Good") == ()
    no_fun = SimpleNamespace(fixed=lambda word: False, keeps=lambda word, other: other not in (word, "fun"))
    assert EmbeddingNeighbours(model, tokenizer, device="cpu", meaning=no_fun).of("good") == ("great",)


@pytest.mark.parametrize(
    "vocabulary",
    [
        {"film": 0, "##ing": 1, ".": 2, "a": 3, "r2": 4},
        {"Ġfilm": 0, "film": 1, "Ġ.": 2, "ing": 3},
        {"▁film": 0, "ing": 1, "▁": 2},
    ],
)
def test_whole_words_are_told_from_pieces(vocabulary):
    assert whole_words(vocabulary) == {"film": 0}
