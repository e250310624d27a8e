"""SQuAD 2.0: the class token means that there is no answer, above a threshold that is chosen as officially."""

from __future__ import annotations

import numpy as np
import pytest

from bench.base.errors import DataError
from bench.spec.suite import Task
from bench.tasks.evaluate import Evaluator
from bench.tasks.examples import Answer, Example, TaskData
from bench.tasks.kinds.kind import KINDS, ChosenOn, form_of
from bench.tasks.kinds.unanswerable import best_threshold
from bench.tasks.metrics.answers import normalise_answer, word_f1
from bench.tasks.predictions import AnswersOrNone

KIND = KINDS.get("span_qa_no_answer")
NONE = (Answer("", 0),)


def task_of(**more):
    return Task(name="made", kind=KIND.name, metrics=("exact_match", "f1"), data={"source": "s", "subset": "t"}, **more)


def question(context, word=None, *, uid="q"):
    answers = NONE if word is None else (Answer(word, context.index(word)),)
    return Example(uid=uid, text="the story is", pair=context, answers=answers)


def encode(examples, tokenizer, *, max_length=24, training=True):
    return KIND.encode(examples, tokenizer, task=task_of(), max_length=max_length, training=training)


def places(feature):
    return feature.targets["start_positions"], feature.targets["end_positions"]


def test_a_window_without_the_answer_is_taught_the_class_token(tokenizer):
    context = " ".join(["good"] * 20 + ["film"] + ["bad"] * 20)
    windows = encode([question(context, "film"), question(context)], tokenizer)
    own = [window for window in windows if window.example == 0]
    assert len(own) > 2
    for window in own:
        tokens = tokenizer.convert_ids_to_tokens(window.inputs["input_ids"])
        expected = tokens.index("film") if "film" in tokens else 0
        assert places(window) == (expected, expected)
    assert 0 < sum(places(window) == (0, 0) for window in own) < len(own)
    assert {places(window) for window in windows if window.example == 1} == {(0, 0)}


def test_the_score_of_no_answer_is_the_least_over_the_windows(tokenizer):
    example = question(" ".join(["good"] * 30))
    windows = encode([example], tokenizer, training=False)
    assert len(windows) >= 3
    outputs = []
    for number, window in enumerate(windows):
        start, end = np.full((2, len(window.inputs["input_ids"])), -9.0)
        start[0], end[0] = 5.0 - number, 2.0
        first = next(place for place, span in enumerate(window.offsets) if span is not None)
        start[first + 1], end[first + 2] = 1.0 + number, 0.5
        outputs.append((start, end))
    said = KIND.predict(outputs, windows, [example], tokenizer=tokenizer)
    last = len(windows) - 1
    assert said.excess == (pytest.approx((5.0 - last + 2.0) - (1.0 + last + 0.5)),)
    assert said.best == ("good good",)
    assert said.thresholds == (0.0,)


def drawn(seed, count=30):
    """Answers, score differences with ties, and truths of which some are no answer."""
    rng = np.random.default_rng(seed)
    words = ("the film", "a film", "good plot", "plot", "bad actor", "the")
    best = [str(word) for word in rng.choice(words, count)]
    excess = rng.integers(-6, 7, count) / 2
    truths = [[""] if rng.random() < 0.4 else [str(word) for word in rng.choice(words[:5], 2)] for _ in range(count)]
    return best, excess.tolist(), truths


def total(best, excess, truths, threshold):
    answers = ["" if value > threshold else text for text, value in zip(best, excess, strict=True)]
    return sum(max(word_f1(a, known) for known in truth) for a, truth in zip(answers, truths, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_best_of_all(seed):
    best, excess, truths = drawn(seed)
    found = total(best, excess, truths, best_threshold(best, excess, truths))
    every = [total(best, excess, truths, threshold) for threshold in np.arange(-4, 4, 0.25)]
    assert found == pytest.approx(max(every))


def official(best, excess, truths):
    """The walk of evaluate-v2.0.py over score differences that all differ."""
    score = highest = sum(truth == [""] for truth in truths)
    threshold = 0.0
    for row in np.argsort(excess):
        if truths[row] != [""]:
            score += max(word_f1(best[row], known) for known in truths[row])
        elif best[row]:
            score -= 1
        if score > highest:
            highest, threshold = score, excess[row]
    return highest / len(best), threshold


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_the_official_one_if_some_answers_are_worth_keeping(seed):
    best, excess, truths = drawn(seed)
    best = [text if text != "the" else "plot" for text in best]  # the script takes a bare article for an answer
    excess = (np.array(excess) + np.random.default_rng(seed).random(len(excess)) / 10).tolist()
    share, threshold = official(best, excess, truths)
    found = best_threshold(best, excess, truths)
    assert found == threshold or threshold == 0.0  # what it says if no answer is worth keeping
    assert total(best, excess, truths, found) / len(best) == pytest.approx(share)


def test_no_answer_everywhere_is_chosen_if_it_is_best():
    threshold = best_threshold(["a film", "plot"], [-3.0, 1.0], [[""], ["good"]])
    assert AnswersOrNone.of(["a film", "plot"], [-3.0, 1.0], threshold=threshold).answers == ("", "")


EXAMPLES = (
    question("good film", "film", uid="1"),
    question("bad plot", uid="2"),
    question("great story", "great", uid="3"),
)


def test_scores_count_no_answer_as_right_only_for_questions_without_one():
    said = AnswersOrNone.of(["film", "plot", "story"], [-2.0, 1.0, 2.0], threshold=0.0)
    assert said.answers == ("film", "", "")
    assert KIND.score(said, EXAMPLES, ["exact_match", "f1"]) == pytest.approx({"exact_match": 2 / 3, "f1": 2 / 3})
    assert [KIND.parts(example) for example in EXAMPLES] == ["has_answer", "no_answer", "has_answer"]
    assert said.decided() == {"thresholds": [0.0], "answered": 1, "examples": 3}


def test_the_split_that_a_threshold_is_chosen_on_decides_for_the_others():
    said = AnswersOrNone.of(["film", "plot", "story"], [0.5, 1.0, 2.0], threshold=0.0)
    itself = KIND.settled(said, task_of(), chosen_on=ChosenOn("validation", said, EXAMPLES))
    assert (itself.answers, set(itself.thresholds)) == (("film", "", ""), {0.5})
    other = AnswersOrNone.of(["film", "plot", "great"], [0.5, 1.0, 2.0], threshold=0.0)
    moved = KIND.settled(said, task_of(), chosen_on=ChosenOn("dev", other, (EXAMPLES[0], EXAMPLES[0], EXAMPLES[2])))
    assert moved.answers == ("film", "plot", "story")
    hidden = tuple(Example(uid=each.uid, text=each.text, pair=each.pair) for each in EXAMPLES)
    assert KIND.settled(said, task_of(), chosen_on=ChosenOn("test", said, hidden)) == said


def test_an_evaluator_chooses_the_threshold_of_each_model_on_the_stated_split():
    class Told(Evaluator):
        def _predict(self, loaded, split, limit):
            del limit
            return {"dev": AnswersOrNone.of(["film", "plot", "great"], [loaded, loaded, 9.0], threshold=0.0)}.get(
                split, AnswersOrNone.of(["film", "plot", "story"], [0.0, 1.0, 2.0], threshold=0.0)
            )

    data = TaskData(splits={"validation": EXAMPLES, "dev": EXAMPLES}, origin="made", revision=None, generated=True)
    options = {"data": data, "max_length": 24, "token_budget": 100, "device": "cpu"}

    class Model(float):
        @property
        def content_hash(self):
            return str(self)

    own = Told(task=task_of(), **options)
    assert set(own.predict(Model(5.0), "validation").thresholds) == {0.0}
    stated = Told(task=task_of(threshold="dev"), **options)
    assert set(stated.predict(Model(5.0), "validation").thresholds) == {9.0}
    assert KIND.conditions(EXAMPLES, None, task=stated.task, max_length=24)["threshold_chosen_on"] == "dev"


def test_they_are_stored_with_what_was_decided():
    said = AnswersOrNone.of(["film", "plot"], [-2.0, 1.0], threshold=0.5)
    assert said.stored()[1] == {"answer": "", "best": "plot", "null_excess": 1.0, "threshold": 0.5}
    assert form_of(said.stored()[0]) is AnswersOrNone
    assert AnswersOrNone.read(said.stored()) == said
    other = AnswersOrNone.of(["film", "plot"], [2.0, 1.0], threshold=0.5)
    assert said.agreement(other)["label_loyalty"] == 0.5


def test_a_task_says_by_its_kind_that_questions_may_have_no_answer():
    plain = KINDS.get("span_qa")
    with pytest.raises(DataError, match=r"the question has no answer.*Set kind = 'span_qa_no_answer'"):
        plain.check(question("bad plot"), task_of(), where="x")
    KIND.check(question("bad plot"), task_of(), where="x")
    with pytest.raises(DataError, match="is not at character 3"):
        KIND.check(Example(uid="x", text="t", pair="good film", answers=(Answer("film", 3),)), task_of(), where="x")


TRICKY = [
    ("The Film", "film", True),
    ("a an the", "", True),
    ("Theatre", "atre", False),  # an article inside a word stays
    ("U.S.", "us", True),
    ("U. S.", "us", False),
    ("$1,000", "1000", True),
    ("1.5%", "15", True),
    ("well-known", "wellknown", True),
    ("well known", "well-known", False),
    ("  two\t\nwords ", "two words", True),
    ("“quoted”", "quoted", False),  # only ASCII punctuation goes
    ("ÉCOLE", "école", True),
    ("a.m.", "am", True),  # punctuation goes before articles do
    ("an  a.b", "ab", True),
    ("it's", "its", True),
    ("half-a-mile", "halfamile", True),
    ("half a mile", "half mile", True),
    ("naïve", "naive", False),
]


@pytest.mark.parametrize(("one", "other", "equal"), TRICKY)
def test_tricky_answers_are_normalised_as_officially(one, other, equal):
    assert (normalise_answer(one) == normalise_answer(other)) is equal


def test_references_that_normalise_to_nothing_do_not_count():
    context = "the film a plot"
    example = Example(uid="x", text="t", pair=context, answers=(Answer("the", 0), Answer("film", 4)))
    assert KIND.truth(example) == ["film"]
    assert KIND.truth(Example(uid="x", text="t", pair=context, answers=(Answer("the", 0),))) == [""]
    assert KIND.truth(question(context)) == [""]
    assert KIND.truth(Example(uid="x", text="t", pair=context)) is None
