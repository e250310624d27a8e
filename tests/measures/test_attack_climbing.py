"""The search beside random hill climbing, the weakest search that a stated budget has to beat."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from bench.measures.robustness.attacks.greedy import AttackEnd, Target, run, search
from bench.tasks.wording.words import Words

BUDGETS = (10, 30, 100, 200)
TEXTS, SEEDS = 150, 5


class World:
    """A logistic bag of words with random weights; each word has synonyms that keep about half of its weight."""

    def __init__(self, *, seed, strong):
        draw = random.Random(seed)
        words = [f"w{number}" for number in range(300)]
        self.weights = {word: draw.gauss(0, 1.0 if draw.random() < strong else 0.1) for word in words}
        self.synonyms = {word: [f"{word}s{number}" for number in range(draw.randrange(2, 9))] for word in words}
        for word, synonyms in self.synonyms.items():
            for synonym in synonyms:
                self.weights[synonym] = self.weights[word] * draw.random() + draw.gauss(0, 0.3)
        texts = [" ".join(draw.choices(words, k=draw.randrange(8, 41))) for _ in range(TEXTS)]
        self.targets = []
        for text, probabilities in zip(texts, self.score([(0, text) for text in texts]), strict=True):
            label = int(probabilities.argmax())
            self.targets.append(Target(text=text, label=label, clean=float(probabilities[label])))

    def of(self, word):
        return self.synonyms.get(word, [])

    def score(self, rows):
        sums = [sum(self.weights[word] for word in text.split()) for _, text in rows]
        ones = 1 / (1 + np.exp(-np.array(sums)))
        return np.stack([1 - ones, ones], axis=1)

    def flipped(self, attack):
        """How each text ended, with `attack(target)` a search not yet started."""
        return np.array([end.flipped for end in run([attack(target) for target in self.targets], self.score)])


def climb(target, source, *, budget, seed):
    """Random hill climbing: a random word, a random candidate of it, kept if the true class's probability falls."""
    words, draw = Words.of(target.text), random.Random(f"{seed}:{target.text}")
    pools = {index: source.of(words.word(index)) for index in range(len(words))}
    changes, lowest = {}, target.clean
    for query in range(budget):
        index = draw.choice([index for index, pool in pools.items() if pool])
        tried = {**changes, index: draw.choice(pools[index])}
        text = words.replaced(tried)
        probabilities = (yield [text])[0]
        if probabilities.argmax() != target.label:
            return AttackEnd(flipped=True, queries=query + 1, changed=len(tried), words=len(words), text=text)
        if probabilities[target.label] < lowest:
            changes, lowest = tried, probabilities[target.label]
    text = words.replaced(changes)
    return AttackEnd(flipped=False, queries=budget, changed=len(changes), words=len(words), text=text)


@pytest.fixture(scope="module", params=[0.1, 0.3, 1.0], ids=["few-strong", "some-strong", "all-strong"])
def world(request):
    return World(seed=1, strong=request.param)


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_search_flips_at_least_as_many_texts_as_random_hill_climbing(world, budget):
    """Less two standard errors of a share of the texts, the climbers' mean over seeds included."""
    ours = world.flipped(lambda target: search(target, [world], budget=budget)).mean()
    climbers = np.mean(
        [
            world.flipped(lambda target, seed=seed: climb(target, world, budget=budget, seed=seed))
            for seed in range(SEEDS)
        ]
    )
    error = math.sqrt(climbers * (1 - climbers) / TEXTS * (1 + 1 / SEEDS))
    assert ours >= climbers - 2 * error
    assert climbers > 0.2 if budget == min(BUDGETS) else climbers > 0.7  # the climber is no straw man


def test_over_all_worlds_a_small_budget_flips_more_than_random_hill_climbing():
    """Each text gives a difference; their mean is above 0 by more than two of its standard errors."""
    differences = []
    for strong in (0.1, 0.3, 1.0):
        world = World(seed=2, strong=strong)
        ours = world.flipped(lambda target, world=world: search(target, [world], budget=30)).astype(float)
        climbers = [
            world.flipped(lambda target, world=world, seed=seed: climb(target, world, budget=30, seed=seed))
            for seed in range(SEEDS)
        ]
        differences += list(ours - np.mean(climbers, axis=0))
    assert np.mean(differences) > 2 * np.std(differences, ddof=1) / math.sqrt(len(differences))


def test_a_larger_budget_repeats_the_smaller_run_and_goes_on(world):
    asked = {}
    for budget in (5, 17, 60):
        texts = asked[budget] = {number: [] for number in range(20)}

        def score(rows, texts=texts):
            for number, text in rows:
                texts[number].append(text)
            return world.score(rows)

        ends = run([search(target, [world], budget=budget) for target in world.targets[:20]], score)
        assert [len(row) for row in texts.values()] == [end.queries for end in ends]
    for number in range(20):
        for smaller, larger in ((5, 17), (17, 60)):
            assert asked[larger][number][: len(asked[smaller][number])] == asked[smaller][number]
    assert any(len(asked[60][number]) > 17 for number in range(20))


def test_a_larger_budget_never_flips_fewer_texts(world):
    ends = [world.flipped(lambda target, budget=budget: search(target, [world], budget=budget)) for budget in BUDGETS]
    for smaller, larger in itertools.pairwise(ends):
        assert not (smaller & ~larger).any()


def test_an_outcome_says_what_its_text_is(world):
    ends = run([search(target, [world], budget=60) for target in world.targets], world.score)
    said = world.score([(0, end.text) for end in ends]).argmax(axis=1)
    for target, end, label in zip(world.targets, ends, said, strict=True):
        before, after = target.text.split(), end.text.split()
        assert (label != target.label) == end.flipped
        assert sum(a != b for a, b in zip(before, after, strict=True)) == end.changed
        assert all(a == b or b in world.of(a) for a, b in zip(before, after, strict=True))


def test_a_change_that_the_flip_does_not_need_is_undone(world):
    """With queries left for it, every change is needed: any one taken back gives the label back."""
    ends = run([search(target, [world], budget=200) for target in world.targets], world.score)
    tight = 0
    for target, end in zip(world.targets, ends, strict=True):
        if not end.flipped or end.queries > 200 - len(end.text.split()):
            continue
        before, after = target.text.split(), end.text.split()
        for index in (index for index in range(len(before)) if before[index] != after[index]):
            fewer = " ".join([*after[:index], before[index], *after[index + 1 :]])
            assert world.score([(0, fewer)])[0].argmax() == target.label
            tight += 1
    assert tight > TEXTS


def test_a_probability_of_exactly_one_is_no_obstacle():
    def score(rows):
        return np.array([[1.0, 0.0] if text != "b b" else [0.0, 1.0] for _, text in rows])

    class Source:
        def of(self, word):
            return ["c", "b"]

    end = run([search(Target(text="a a", label=0, clean=1.0), [Source()], budget=20)], score)[0]
    assert (end.flipped, end.queries, end.text) == (False, 4, "a a")
