"""Loyalty, fidelity and correlation beside their golden values and a second library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_pairs import classes, given_pair, labelled, make_task, missing
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import binom, entropy, pearsonr

from bench.measures.agreement.agreement import Agreement
from bench.tasks.loyalty import (
    fidelity_kl,
    label_loyalty,
    loyalty_by_class,
    loyalty_by_confidence,
    output_correlation,
    probability_loyalty,
)
from bench.tasks.predictions import ClassLogits, ScoreValues, WrittenAnswers

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


@given(*[arrays(np.float64, (37, 3), elements=st.floats(-30, 30, width=32))] * 2)
def test_means_are_over_examples_whatever_the_batch(one, other):
    for measure in (label_loyalty, probability_loyalty, fidelity_kl):
        alone = [measure(one[row : row + 1], other[row : row + 1]) for row in range(37)]  # no batch divides a prime
        assert measure(one, other) == pytest.approx(sum(alone) / 37, abs=1e-9)


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


def test_divergence_on_training_data_is_that_of_the_first_training_examples():
    rng = np.random.default_rng(0)
    said = {split: [ClassLogits(rng.normal(size=(9, 3))) for _ in range(2)] for split in ("validation", "train")}
    artifact, reference = ({split: both[number] for split, both in said.items()} for number in range(2))
    task, examples = make_task(labels=("a", "b", "c")), {split: labelled([0] * 9) for split in said}
    reading = AGREEMENT.read(given_pair(task, examples, artifact, reference, train_examples=7))
    p, q = (softmax(part["train"].logits[:7], axis=1) for part in (reference, artifact))
    assert reading.values["fidelity_kl_train"] == pytest.approx(np.mean(entropy(p, q, axis=1)))


def test_the_interval_of_label_loyalty_is_that_of_a_binomial_share():
    task, examples = make_task(trained_on="other"), {"validation": labelled([None] * 400)}
    artifact, reference = {"validation": classes(*[0] * 300, *[1] * 100)}, {"validation": classes(*[0] * 400)}
    values = AGREEMENT.read(given_pair(task, examples, artifact, reference)).values
    low, high = (binom.ppf(share, 400, 0.75) / 400 for share in (0.025, 0.975))  # what resamples of a share follow
    assert values["label_loyalty_low"] == pytest.approx(low, abs=0.01)
    assert values["label_loyalty_high"] == pytest.approx(high, abs=0.01)


def test_loyalty_is_split_by_the_label_that_the_reference_gives():
    reference, artifact = classes(0, 0, 0, 1, count=3).logits, classes(0, 0, 1, 0, count=3).logits
    assert loyalty_by_class(reference, artifact, ("a", "b", "c")) == {
        "a": {"examples": 3, "label_loyalty": pytest.approx(2 / 3)},
        "b": {"examples": 1, "label_loyalty": 0.0},
    }


def test_loyalty_by_confidence_tells_unsure_examples_from_sure_ones():
    sure = np.linspace(0.55, 0.99, 50)
    reference = np.log(np.stack([sure, 1 - sure], axis=1))
    artifact = np.where(sure[:, None] < 0.635, -reference, reference)  # the ten least sure labels flip
    bins = loyalty_by_confidence(reference[::-1], artifact[::-1])
    assert [part["examples"] for part in bins] == [10] * 5
    assert [part["label_loyalty"] for part in bins] == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert bins[0]["least"] == pytest.approx(0.55)
    assert bins[-1]["most"] == pytest.approx(0.99)


def test_equally_sure_examples_share_one_confidence_bin():
    reference, artifact = classes(*[0] * 7).logits, classes(0, 0, 0, 0, 0, 0, 1).logits
    (only,) = loyalty_by_confidence(reference, artifact)
    assert only["examples"] == 7
    assert only["label_loyalty"] == pytest.approx(6 / 7)


def test_a_reading_of_classes_splits_its_loyalty_by_label_name_and_confidence():
    task, examples = make_task(trained_on="other"), {"validation": labelled([0] * 4)}
    artifact, reference = {"validation": classes(0, 1, 1, 1)}, {"validation": classes(0, 0, 1, 1)}
    conditions = AGREEMENT.read(given_pair(task, examples, artifact, reference)).conditions
    assert conditions["loyalty_by_class"]["no"] == {"examples": 2, "label_loyalty": 0.5}
    assert sum(part["examples"] for part in conditions["loyalty_by_confidence"]) == 4


def test_a_model_trained_on_another_task_has_no_divergence_on_training_data():
    said = {"validation": classes(0, 1)}
    task = make_task(trained_on="other")
    reading = AGREEMENT.read(given_pair(task, {"validation": labelled([0, 1])}, said, said))
    assert "'other'" in reading.absent["fidelity_kl_train"]
    assert missing(AGREEMENT, reading) == []


def test_regression_outputs_are_correlated_and_have_no_probabilities():
    values = np.array([0.5, 2.0, 3.5])
    task, examples = make_task("regression", metrics=("pearson",)), {"validation": labelled([1.0, 2.0, 3.0])}
    reference = {"validation": ScoreValues(values)}
    reading = AGREEMENT.read(given_pair(task, examples, {"validation": ScoreValues(9 - 2 * values)}, reference))
    assert reading.values == {"output_correlation": pytest.approx(-1.0)}
    assert missing(AGREEMENT, reading) == []
    constant = {"validation": ScoreValues(np.full(3, 0.1))}
    reading = AGREEMENT.read(given_pair(task, examples, constant, reference))
    assert "same output" in reading.absent["output_correlation"]


def test_regression_outputs_are_correlated_as_scipy_correlates_them():
    one, other = np.random.default_rng(0).normal(size=(2, 40))
    assert output_correlation(one, other + one) == pytest.approx(pearsonr(one, other + one).statistic)


def test_a_constant_output_has_no_correlation():
    assert output_correlation(np.array([0.1, 0.1, 0.1]), np.array([1.0, 2.0, 3.0])) is None
    assert output_correlation(np.array([1.0]), np.array([1.0])) is None


def test_answers_agree_where_their_texts_are_equal():
    task, examples = make_task("span_qa", metrics=("exact_match",)), {"validation": labelled([None] * 4)}
    artifact, reference = (
        {"validation": WrittenAnswers(answers)} for answers in (("a", "b", "", "d"), ("a", "B", "", "x"))
    )
    reading = AGREEMENT.read(given_pair(task, examples, artifact, reference))
    assert reading.values["label_loyalty"] == 0.5
    assert set(reading.values) == {"label_loyalty", "label_loyalty_low", "label_loyalty_high"}
    assert reading.tables["predictions"]["artifact"] == ["a", "b", "", "d"]
    assert missing(AGREEMENT, reading) == []
