"""What each task kind hands to a function of texts, and what it makes of the answers."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import softmax

from bench.base.errors import ModelError, UnavailableError
from bench.models.texts import TextFunction
from bench.tasks.evaluate import predict
from bench.tasks.examples import Answer, Example
from bench.tasks.kinds.kind import KINDS
from bench.tasks.outputs import answers_of

PAIR = Example(uid="a", text="what is good", pair="the film was good", answers=(Answer("film", 4),), label=1)
PLAIN = Example(uid="b", text="the plot was bad", target="x", label=0)
CHOICE = Example(uid="c", text="it is", pair="so @placeholder was", choices=("he", "she"), label=1)
HANDED = {
    "classification": (PAIR, ("what is good", "the film was good")),
    "regression": (PLAIN, "the plot was bad"),
    "multi_label": (PLAIN, "the plot was bad"),
    "multiple_choice": (CHOICE, ("it is", ["so he was", "so she was"])),
    "cloze": (CHOICE, ("it is", ["so he was", "so she was"])),
    "several_choices": (CHOICE, ("it is", ["so he was", "so she was"])),
    "span_qa": (PAIR, ("what is good", "the film was good")),
    "span_qa_no_answer": (PAIR, ("what is good", "the film was good")),
    "translation": (PLAIN, "the plot was bad"),
    "language_modelling": (PLAIN, "the plot was bad"),
    "masked_language_modelling": (PLAIN, "the plot was bad"),
    "open_qa": (PAIR, "what is good"),
    "retrieval": (PLAIN, "the plot was bad"),
}


def heard(kind, answers, examples, *, labels=(), outputs=(), similarity=None):
    task = SimpleNamespace(kind=kind, name="made", labels=labels, similarity=similarity)
    return answers_of(TextFunction("made:function", lambda _: answers, outputs), examples, task=task)


def test_every_kind_has_a_row_above():
    assert set(HANDED) == set(KINDS.names())


@pytest.mark.parametrize("kind", HANDED)
def test_a_kind_hands_over_its_texts(kind):
    example, handed = HANDED[kind]
    assert KINDS.get(kind).handed(example) == handed


def test_scores_are_put_into_the_order_of_the_labels_by_their_names():
    labels = ("negative", "positive")
    plain = heard("classification", [[1.0, 3.0]], [PAIR], labels=labels, outputs=("positive", "negative"))
    table = heard("classification", [{"POS": 1.0, "neg": 3.0}], [PAIR], labels=labels)
    assert plain.logits.tolist() == table.logits.tolist() == [[3.0, 1.0]]


def test_probabilities_stay_what_they_are_and_other_scores_stay_logits():
    chances = [[0.25, 0.75], [1.0, 0.0]]
    said = heard("classification", chances, [PAIR, PLAIN], labels=("a", "b"), outputs=("a", "b"))
    assert softmax(said.logits, axis=1) == pytest.approx(np.array(chances))
    logits = heard("classification", [[0.25, 0.75], [2.0, 0.0]], [PAIR, PLAIN], labels=("a", "b"), outputs=("a", "b"))
    assert logits.logits.tolist() == [[0.25, 0.75], [2.0, 0.0]]


def test_numbers_answers_and_decisions_become_the_predictions_of_their_kinds():
    assert heard("regression", [[0.5], 2], [PAIR, PLAIN]).values.tolist() == [0.5, 2.0]
    assert heard("multi_label", [[-1, 2]], [PLAIN], labels=("a", "b"), outputs=("a", "b")).logits == ((-1.0, 2.0),)
    assert heard("multiple_choice", [[0.1, 0.7]], [CHOICE]).classes.tolist() == [1]
    assert heard("cloze", [[0.9, 0.1]], [CHOICE]).answers == ("he",)
    assert heard("several_choices", [[-1, 2]], [CHOICE]).logits == ((-1.0, 2.0),)
    for kind in ("span_qa", "open_qa", "translation"):
        assert heard(kind, ["film"], [PAIR]).answers == ("film",)


def test_an_empty_answer_says_that_the_text_has_none():
    assert heard("span_qa_no_answer", ["film", ""], [PAIR, PAIR]).answers == ("film", "")


def test_vectors_have_length_one_unless_they_are_compared_by_their_product():
    rows = [[3.0, 4.0], [0.0, 2.0]]
    assert heard("retrieval", rows, [PLAIN, PLAIN]).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 1.0]]
    assert heard("retrieval", rows, [PLAIN, PLAIN], similarity="dot").tolist() == rows


@pytest.mark.parametrize("kind", ["language_modelling", "masked_language_modelling"])
def test_no_text_says_how_probable_a_token_is(kind):
    with pytest.raises(UnavailableError, match="probabilities of tokens"):
        heard(kind, ["x"], [PLAIN])


@pytest.mark.parametrize(
    ("kind", "answer", "message"),
    [
        ("classification", [1.0, 2.0, 3.0], "expected 2 numbers, found 3"),
        ("classification", [1.0, math.nan], "expected finite numbers"),
        ("classification", "positive", "expected 2 numbers, found str"),
        ("classification", {"good": 1.0, "bad": 2.0}, r"unknown which number is which label .*called good, bad"),
        ("regression", None, "expected one number, found NoneType"),
        ("regression", True, "expected one number, found bool"),
        ("multiple_choice", [1.0], "expected 2 numbers, found 1"),
        ("span_qa", ["film"], "expected a text, found list"),
        ("translation", 3, "expected a text, found int"),
        ("retrieval", [], "expected one or more numbers, found 0"),
    ],
)
def test_an_answer_of_another_form_is_refused_with_the_number_of_its_example(kind, answer, message):
    example = HANDED[kind][0]
    good = {"classification": [1.0, 2.0], "regression": 1.0, "multiple_choice": [1.0, 2.0], "retrieval": [1.0, 2.0]}
    first = good.get(kind, "film")
    labels = ("negative", "positive") if kind == "classification" else ()
    with pytest.raises(ModelError, match=rf"made:function: example 2 \({example.uid}\): .*{message}"):
        heard(kind, [first, answer], [example, example], labels=labels, outputs=labels)


def test_numbers_without_names_are_refused_and_names_are_asked_for():
    with pytest.raises(ModelError, match=r"they have no names. .*--labels negative,positive"):
        heard("classification", [[1.0, 2.0]], [PAIR], labels=("negative", "positive"))


def test_vectors_of_different_widths_are_refused():
    with pytest.raises(ModelError, match=r"example 2 .*expected 2 numbers, as for the first text, found 1"):
        heard("retrieval", [[1.0, 2.0], [1.0]], [PLAIN, PLAIN])


def test_a_function_is_predicted_with_like_a_model():
    task = SimpleNamespace(kind="regression", name="made", labels=())
    model = TextFunction("made:function", lambda texts: [len(text) for text in texts])
    said = predict(model, None, [PLAIN] * 40, task=task, max_length=8, token_budget=8, device="cpu")
    assert said.values.tolist() == [float(len(PLAIN.text))] * 40
