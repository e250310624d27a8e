"""The attack: what it may never do, on classifiers that can be understood."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_pairs import classes, given_pair, labelled, make_loaded, make_pair, make_task, missing

from bench.measures.attack import Attack
from bench.measures.attacks.candidates import EmbeddingNeighbours, TypingErrors, whole_words
from bench.measures.attacks.greedy import Target, run, search
from bench.measures.attacks.words import Words
from bench.tasks.evaluate import Evaluator, predict
from bench.tasks.examples import Example, TaskData

ATTACK = Attack()
GOOD, BAD = ("good", "great", "fun"), ("bad", "awful", "boring")


class BagOfWords(torch.nn.Module):
    """Sums a vector of two logits a token: good words speak for class 1, bad ones for class 0, others for nothing."""

    def __init__(self, tokenizer, *, weight=2.0, lean=0.0):
        super().__init__()
        vocabulary = tokenizer.get_vocab()
        table = torch.zeros(len(vocabulary), 2)
        for words, label in ((GOOD, 1), (BAD, 0)):
            for word in words:
                table[vocabulary[word], label] = weight
        self.embedding = torch.nn.Embedding.from_pretrained(table)
        self.lean = torch.tensor([lean, 0.0])
        self.config = SimpleNamespace(vocab_size=len(vocabulary))

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, attention_mask, **_):
        counts = self.embedding(input_ids) * attention_mask[..., None]
        return SimpleNamespace(logits=counts.sum(1) + self.lean)


@pytest.fixture
def sentiment():
    """Twenty labelled reviews over the test vocabulary; one of them is mislabelled on purpose."""
    texts = [f"the film was {word} and the {noun}" for word in GOOD + BAD for noun in ("plot", "actor", "story")]
    rows = [Example(uid=str(n), text=text, label=int(n < 9)) for n, text in enumerate(texts)]
    rows += [Example(uid="18", text="good good good great fun", label=1), Example(uid="19", text="not good", label=0)]
    return tuple(rows)


def attack_pair(tokenizer, examples, *, artifact=None, reference=None, **more):
    task = make_task()
    data = TaskData(splits={"validation": examples}, origin="made", revision=None, generated=True)
    evaluator = Evaluator(task=task, data=data, max_length=32, token_budget=512, device="cpu")
    loaded = make_loaded("artifact", artifact or BagOfWords(tokenizer), tokenizer)
    beside = make_loaded("reference", reference or BagOfWords(tokenizer), tokenizer)
    return make_pair(task, evaluator, artifact=loaded, reference=beside, **more)


def test_a_budget_of_nothing_changes_nothing(tokenizer, sentiment):
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, attack_queries=0))
    assert reading.values["attack_accuracy"] == reading.values["attack_clean_accuracy"] == 19 / 20
    assert reading.values["attack_success"] == reading.values["attack_queries"] == 0
    assert reading.absent["attack_words"] == "no example was flipped"
    assert missing(ATTACK, reading) == []


def test_a_constant_classifier_cannot_be_flipped(tokenizer, sentiment):
    constant = BagOfWords(tokenizer, weight=0.0, lean=1.0)
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, artifact=constant))
    assert reading.values["attack_accuracy"] == reading.values["attack_clean_accuracy"] == 10 / 20
    assert reading.values["attack_success"] == reading.values["attack_success_common"] == 0
    assert reading.reference["attack_success"] > 0


def test_a_larger_budget_never_leaves_more_accuracy(tokenizer, sentiment):
    budgets = (0, 3, 7, 8, 12, 16, 20, 40, 80, 200)
    left = [
        ATTACK.read(attack_pair(tokenizer, sentiment, attack_queries=budget)).values["attack_accuracy"]
        for budget in budgets
    ]
    assert left == sorted(left, reverse=True)
    assert left[0] == 19 / 20
    assert left[-1] < left[0]


def test_queries_are_the_texts_that_were_scored(tokenizer, sentiment, monkeypatch):
    scored = []

    def counting(model, tokenizer, examples, **options):
        scored.append(len(examples))
        return predict(model, tokenizer, examples, **options)

    monkeypatch.setattr("bench.tasks.evaluate.predict", counting)
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, is_reference=True, attack_queries=30))
    assert reading.values["attack_queries"] * 19 == pytest.approx(sum(scored) - len(sentiment))
    assert reading.values["attack_queries"] <= 30
    assert len(scored) < 10  # all examples are attacked side by side, in few large batches
    assert reading.reference == reading.values


def test_a_weaker_model_is_compared_on_the_common_examples(tokenizer, sentiment):
    weak = BagOfWords(tokenizer, weight=0.5, lean=3.0)
    reference = BagOfWords(tokenizer, lean=-0.1)
    reading = ATTACK.read(attack_pair(tokenizer, sentiment, artifact=weak, reference=reference))
    assert reading.conditions["common"] == 9
    assert reading.values["attack_success_common"] == reading.values["attack_success"] * 10 / 9 == 0
    assert reading.reference["attack_success_common"] == 1.0


def test_the_sample_follows_the_seed(tokenizer, sentiment):
    def clean(seed):
        reading = ATTACK.read(attack_pair(tokenizer, sentiment, attack_examples=5, attack_queries=0, seed=seed))
        return reading.values["attack_clean_accuracy"]

    assert clean(1) == clean(1)
    assert {clean(seed) for seed in range(8)} == {0.8, 1.0}


def test_the_second_text_of_a_pair_is_attacked(tokenizer, sentiment):
    pairs = tuple(dataclasses.replace(row, text="it is", pair=row.text) for row in sentiment)
    alone = ATTACK.read(attack_pair(tokenizer, sentiment))
    paired = ATTACK.read(attack_pair(tokenizer, pairs))
    assert paired.values == alone.values


def test_tasks_without_classes_and_hidden_labels_have_a_reason():
    task, said = make_task("regression", metrics=("pearson",)), {"validation": classes(0, 1)}
    reading = ATTACK.read(given_pair(task, {"validation": labelled([0.5, 1.0])}, said, said))
    assert "regression" in reading.absent["attack_accuracy"]
    assert missing(ATTACK, reading) == []
    reading = ATTACK.read(given_pair(make_task(), {"validation": labelled([None, None])}, said, said))
    assert set(reading.absent.values()) == {"the labels are hidden"}


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
    assert (outcome.flipped, outcome.changed, outcome.words, outcome.queries) == (True, 1, 4, 4 + 3)


def test_the_search_keeps_what_helps_and_agrees_with_brute_force():
    texts = ["".join(parts) for parts in itertools.product(("xx ", "x "), ("xx ", "x"), (" xx", " x"))]
    for text in texts:
        source = Fixed(xx=["x"], x=["o"])
        words = text.split()
        reachable = itertools.product(*([word, *source.of(word)] for word in words))
        possible = any(scores(" ".join(choice))[1] < 0.5 for choice in reachable)
        assert attacked(text, source, budget=50).flipped == possible


def test_the_search_stops_at_its_budget():
    for budget in range(12):
        outcome = attacked("xx xx xx xx", Fixed(xx=["x", "xq", "xo"]), budget=budget)
        assert outcome.queries == budget
        assert not outcome.flipped


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


def test_neighbours_are_the_nearest_whole_words_of_the_models_own_table(tokenizer):
    vocabulary = tokenizer.get_vocab()
    model = BagOfWords(tokenizer)
    table = torch.zeros(len(vocabulary), 3)
    for word, row in (("good", [1, 0, 0]), ("great", [9, 1, 0]), ("fun", [2, 2, 0]), ("bad", [-1, 0, 0])):
        table[vocabulary[word]] = torch.tensor(row, dtype=torch.float)
    table[vocabulary["[MASK]"]] = torch.tensor([1.0, 0, 0])
    model.embedding = torch.nn.Embedding.from_pretrained(table)
    neighbours = EmbeddingNeighbours(model, tokenizer, device="cpu")
    assert neighbours.of("good") == neighbours.of("Good") == ("great", "fun")
    assert neighbours.of("absent") == ()


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
