"""Loyalty, fidelity and correlation beside their golden values and a second library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_pairs import classes, given_pair, labelled, make_task, missing
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import entropy

from bench.measures.agreement import (
    Agreement,
    fidelity_kl,
    label_loyalty,
    output_correlation,
    probability_loyalty,
)
from bench.tasks.kinds.kind import Predictions

AGREEMENT = Agreement()
LOGITS = arrays(np.float64, (6, 3), elements=st.floats(-30, 30, width=32))


def logits(*rows):
    return np.log(np.array(rows))


def test_probability_loyalty_has_its_golden_values_in_base_two():
    assert probability_loyalty(logits([0.9, 0.1]), logits([0.1, 0.9])) == pytest.approx(0.2713, abs=5e-5)
    far = np.array([[1000.0, 0.0]])
    assert probability_loyalty(far, far[:, ::-1]) == 0.0
    assert probability_loyalty(far, far) == 1.0


@given(LOGITS, LOGITS)
def test_probabilities_compare_as_scipy_compares_them(one, other):
    p, q = softmax(one, axis=1), softmax(other, axis=1)
    with np.errstate(invalid="ignore"):  # scipy takes the root of what rounding has put below 0
        distance = np.nan_to_num(jensenshannon(p, q, base=2, axis=1))
    assert probability_loyalty(one, other) == pytest.approx(np.mean(1 - distance), abs=1e-6)
    assert fidelity_kl(one, other) == pytest.approx(np.mean(entropy(p, q, axis=1)), abs=1e-6)


@given(LOGITS)
def test_a_model_agrees_with_itself(one):
    assert label_loyalty(one, one) == 1.0
    assert probability_loyalty(one, one) == 1.0
    assert fidelity_kl(one, one) == 0.0


def test_the_reference_comes_first_in_the_divergence():
    reference, artifact = logits([0.9, 0.1]), logits([0.5, 0.5])
    assert fidelity_kl(reference, artifact) == pytest.approx(0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    assert fidelity_kl(artifact, reference) != pytest.approx(fidelity_kl(reference, artifact), rel=0.01)


@given(LOGITS, LOGITS, arrays(np.int64, 6, elements=st.integers(0, 2)))
def test_accuracies_differ_by_no_more_than_the_labels_do(one, other, labels):
    gap = abs((one.argmax(axis=1) == labels).mean() - (other.argmax(axis=1) == labels).mean())
    assert gap <= 1 - label_loyalty(one, other) + 1e-12


def test_examples_of_all_splits_count_alike():
    examples = {"a": labelled([0] * 3), "b": labelled([0]), "train": labelled([0] * 5)}
    artifact = {"a": classes(0, 0, 0), "b": classes(1), "train": classes(0, 0, 0, 0, 1)}
    reference = {"a": classes(0, 0, 1), "b": classes(1), "train": classes(0, 0, 0, 0, 0)}
    pair = given_pair(make_task(evaluate=("a", "b")), examples, artifact, reference, train_examples=4)
    reading = AGREEMENT.read(pair)
    assert reading.values["label_loyalty"] == pytest.approx(3 / 4)
    assert reading.values["fidelity_kl_train"] == 0.0  # the fifth example, the one that differs, is not among the four
    assert reading.conditions["train_examples"] == 4
    assert reading.values["fidelity_kl"] > 0
    assert missing(AGREEMENT, reading) == []


def test_a_model_trained_on_another_task_has_no_divergence_on_training_data():
    said = {"validation": classes(0, 1)}
    task = make_task(trained_on="other")
    reading = AGREEMENT.read(given_pair(task, {"validation": labelled([0, 1])}, said, said))
    assert "'other'" in reading.absent["fidelity_kl_train"]
    assert missing(AGREEMENT, reading) == []


def test_regression_outputs_are_correlated_and_have_no_probabilities():
    values = np.array([0.5, 2.0, 3.5])
    task, examples = make_task("regression", metrics=("pearson",)), {"validation": labelled([1.0, 2.0, 3.0])}
    reference = {"validation": Predictions(values=values)}
    reading = AGREEMENT.read(given_pair(task, examples, {"validation": Predictions(values=9 - 2 * values)}, reference))
    assert reading.values == {"output_correlation": pytest.approx(-1.0)}
    assert missing(AGREEMENT, reading) == []
    constant = {"validation": Predictions(values=np.full(3, 0.1))}
    reading = AGREEMENT.read(given_pair(task, examples, constant, reference))
    assert "same output" in reading.absent["output_correlation"]


def test_a_constant_output_has_no_correlation():
    assert output_correlation(np.array([0.1, 0.1, 0.1]), np.array([1.0, 2.0, 3.0])) is None
    assert output_correlation(np.array([1.0]), np.array([1.0])) is None


def test_answers_agree_where_their_texts_are_equal():
    task, examples = make_task("span-qa", metrics=("exact_match",)), {"validation": labelled([None] * 4)}
    artifact, reference = (
        {"validation": Predictions(answers=answers)} for answers in (("a", "b", "", "d"), ("a", "B", "", "x"))
    )
    reading = AGREEMENT.read(given_pair(task, examples, artifact, reference))
    assert reading.values == {"label_loyalty": 0.5}
    assert missing(AGREEMENT, reading) == []
