"""Task performance, its mean and its retention."""

import time

import numpy as np
import pytest
from made_pairs import classes, given_pair, labelled, make_task, missing
from scipy.stats import binom, binomtest, norm

from bench.measures.quality.quality import Quality, expected_calibration_error
from bench.tasks.examples import Answer, Example
from bench.tasks.predictions import ClassLogits, ScoreValues, WrittenAnswers

QUALITY = Quality()


def one_split(task, labels, artifact, reference, **more):
    return given_pair(
        task, {"validation": labelled(labels)}, {"validation": artifact}, {"validation": reference}, **more
    )


def test_perfect_predictions_have_every_metric_and_retention_at_one():
    pair = one_split(make_task(metrics=("accuracy", "f1")), [0, 1, 1], classes(0, 1, 1), classes(0, 1, 1))
    reading = QUALITY.read(pair)
    assert [reading.values[name] for name in ("quality", "accuracy", "f1", "retention")] == [1.0] * 4
    assert reading.absent["mcc"] == "not a metric of this task"
    assert missing(QUALITY, reading) == []


def test_quality_is_the_mean_of_the_metrics_and_retention_their_quotient():
    pair = one_split(make_task(metrics=("accuracy", "f1")), [0, 1, 1, 0], classes(0, 1, 0, 0), classes(0, 1, 1, 1))
    reading = QUALITY.read(pair)
    assert reading.values["accuracy"] == pytest.approx(3 / 4)
    assert reading.values["f1"] == pytest.approx(2 / 3)
    assert reading.values["quality"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert reading.reference["quality"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert reading.values["retention"] == pytest.approx((3 / 4 + 2 / 3) / (3 / 4 + 4 / 5))


def test_splits_of_different_size_have_equal_weight():
    examples = {"matched": labelled([0, 0, 0, 0]), "mismatched": labelled([1, 1])}
    said = {"matched": classes(0, 0, 0, 1), "mismatched": classes(0, 0)}
    reading = QUALITY.read(given_pair(make_task(evaluate=("matched", "mismatched")), examples, said, said))
    assert reading.values["accuracy"] == pytest.approx((3 / 4 + 0) / 2)
    assert reading.conditions["splits"] == {"matched": 4, "mismatched": 2}
    assert reading.conditions["by_split"]["artifact"]["matched"] == {"accuracy": 0.75}


def test_hidden_labels_leave_every_metric_absent_with_the_reason():
    reading = QUALITY.read(one_split(make_task(), [None, None], classes(0, 1), classes(0, 1)))
    assert missing(QUALITY, reading) == []
    assert reading.values == {}
    assert "label" in reading.absent["quality"]


def test_there_is_no_retention_of_a_reference_at_zero():
    pair = one_split(make_task(metrics=("mcc",)), [0, 1, 1], classes(0, 1, 1), classes(1, 1, 1))
    reading = QUALITY.read(pair)
    assert reading.values["quality"] == pytest.approx(1.0)
    assert reading.reference["quality"] == 0.0
    assert "at or below 0" in reading.absent["retention"]


def test_a_reference_without_a_score_leaves_the_artifact_its_own():
    task = make_task("regression", metrics=("pearson",))
    varied, constant = (ScoreValues(np.array(values)) for values in ([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]))
    reading = QUALITY.read(one_split(task, [1.0, 2.0, 4.0], varied, constant))
    assert reading.values["pearson"] == pytest.approx(1.0)
    assert reading.reference == {}
    assert "the reference has no quality value" in reading.absent["retention"]
    assert missing(QUALITY, reading) == []


def codes_of(labels, reference):
    pair = one_split(make_task(), labels, classes(*labels), classes(*reference))
    return [code for code, _ in QUALITY.read(pair).warnings]


def test_a_reference_no_better_than_the_commonest_label_is_flagged():
    labels = [0] * 60 + [1] * 40
    assert codes_of(labels, [0] * 100) == ["weak-reference"]
    within_two_deviations = [0] * 60 + [1] * 9 + [0] * 31  # 69 right; 60 + 2 * sqrt(100 * .6 * .4) is 69.8
    assert codes_of(labels, within_two_deviations) == ["weak-reference"]
    above = [0] * 60 + [1] * 10 + [0] * 30
    assert codes_of(labels, above) == []


LABELS = np.random.default_rng(0).integers(0, 2, size=400).tolist()


def wrong_at(rows, labels=LABELS):
    """Classes that are right but on the given rows."""
    return classes(*[1 - label if row in rows else label for row, label in enumerate(labels)])


def test_the_interval_of_accuracy_is_that_of_a_binomial_share():
    values = QUALITY.read(one_split(make_task(), LABELS, wrong_at(range(100)), wrong_at(()))).values
    low, high = (binom.ppf(share, 400, 0.75) / 400 for share in (0.025, 0.975))
    assert values["quality_low"] == pytest.approx(low, abs=0.01)
    assert values["quality_high"] == pytest.approx(high, abs=0.01)


def test_the_interval_of_retention_is_that_of_quality_beside_a_perfect_reference():
    values = QUALITY.read(one_split(make_task(), LABELS, wrong_at(range(100)), wrong_at(()))).values
    assert values["retention_low"] == pytest.approx(values["quality_low"])
    assert values["retention_high"] == pytest.approx(values["quality_high"])


def test_a_drop_in_accuracy_is_tested_by_its_discordant_examples():
    reading = QUALITY.read(one_split(make_task(), LABELS, wrong_at(range(30)), wrong_at(range(20, 35))))
    assert reading.values["drop"] == pytest.approx(15 / 400)
    assert reading.values["drop_p"] == pytest.approx(binomtest(20, 25).pvalue)
    assert reading.conditions["right_by_one"] == {"reference": 20, "artifact": 5}
    assert "McNemar" in reading.conditions["drop_test"]


def test_discordant_examples_of_all_splits_count_together():
    task = make_task(evaluate=("a", "b"))
    examples = {split: labelled([0] * 6) for split in ("a", "b")}
    artifact, reference = ({"a": classes(*one), "b": classes(*[0] * 6)} for one in ([1] * 4 + [0] * 2, [0] * 6))
    reading = QUALITY.read(given_pair(task, examples, artifact, reference))
    assert reading.values["drop_p"] == pytest.approx(2 / 2**4)


def test_the_drop_has_the_interval_and_the_p_of_a_paired_t_test():
    """Word F1 is a mean over examples, so by the central limit theorem the two must meet."""
    count, rng = 400, np.random.default_rng(1)
    known = tuple(Example(uid=str(row), text="?", pair="a b", answers=(Answer("red dog", 0),)) for row in range(count))
    words = {0.0: "cat", 2 / 3: "dog", 1.0: "red dog"}
    ours, theirs = (
        rng.choice(list(words), size=count, p=chances) for chances in ([0.32, 0.34, 0.34], [0.25, 0.35, 0.4])
    )
    artifact, reference = (WrittenAnswers(tuple(words[value] for value in side)) for side in (ours, theirs))
    pair = given_pair(
        make_task("span_qa", metrics=("f1",)),
        {"validation": known},
        {"validation": artifact},
        {"validation": reference},
    )
    reading = QUALITY.read(pair)
    difference = theirs - ours
    error = difference.std(ddof=1) / np.sqrt(count)
    assert reading.values["drop"] == pytest.approx(difference.mean())
    assert reading.values["drop_low"] == pytest.approx(difference.mean() - 1.96 * error, abs=0.2 * error)
    assert reading.values["drop_high"] == pytest.approx(difference.mean() + 1.96 * error, abs=0.2 * error)
    assert reading.values["drop_p"] == pytest.approx(2 * norm.sf(difference.mean() / error), abs=0.02)
    assert "paired bootstrap" in reading.conditions["drop_test"]
    assert "no class probabilities" in reading.absent["calibration_ece"]
    assert missing(QUALITY, reading) == []


def test_a_shared_difficulty_cancels_in_the_drop():
    values = QUALITY.read(one_split(make_task(), LABELS, wrong_at(range(202)), wrong_at(range(200)))).values
    assert values["quality_high"] - values["quality_low"] > 0.08
    assert values["drop_high"] - values["drop_low"] < 0.02


def test_the_reference_drops_nothing_from_itself_and_has_no_test():
    said = {"validation": wrong_at(range(100))}
    reading = QUALITY.read(given_pair(make_task(), {"validation": labelled(LABELS)}, said, said, is_reference=True))
    assert reading.values["drop"] == 0.0
    assert "does not differ from itself" in reading.absent["drop_p"]
    assert reading.reference["quality_low"] == reading.values["quality_low"]
    assert missing(QUALITY, reading) == []


def test_a_score_that_most_resamples_do_not_have_gets_no_interval():
    labels = [1] + [0] * 30  # a third of the resamples have no positive example, and so no F1
    pair = one_split(make_task(metrics=("f1",)), labels, classes(*labels), classes(*labels))
    reading = QUALITY.read(pair)
    assert reading.values["f1"] == 1.0
    assert "resamples have no score" in reading.absent["quality_low"]
    assert missing(QUALITY, reading) == []


def test_calibration_is_given_of_both_models_over_all_splits_together():
    logits = np.random.default_rng(2).normal(size=(2, 9, 2))
    examples = {"a": labelled(LABELS[:4]), "b": labelled(LABELS[4:9])}
    said = [{"a": ClassLogits(side[:4]), "b": ClassLogits(side[4:])} for side in logits]
    reading = QUALITY.read(given_pair(make_task(evaluate=("a", "b")), examples, *said))
    expected = [expected_calibration_error(side, LABELS[:9]) for side in logits]
    assert [reading.values["calibration_ece"], reading.reference["calibration_ece"]] == pytest.approx(expected)


def test_regression_has_intervals_and_a_bootstrap_test():
    truth, noise = np.random.default_rng(3).normal(size=(2, 300))
    near, far = (ScoreValues(truth + spread * noise) for spread in (0.3, 1.0))
    task = make_task("regression", metrics=("pearson", "spearman"))
    reading = QUALITY.read(one_split(task, truth.tolist(), far, near))
    values = reading.values
    assert values["quality_low"] < values["quality"] < values["quality_high"]
    assert 0 < values["drop_low"] < values["drop"] < values["drop_high"]
    assert values["retention_low"] < values["retention"] < values["retention_high"]
    assert values["drop_p"] < 0.01
    assert missing(QUALITY, reading) == []


def test_a_thousand_examples_take_less_than_three_seconds_of_processor_time():
    labels = np.random.default_rng(4).integers(0, 2, size=1000).tolist()
    pair = one_split(make_task(metrics=("accuracy", "f1")), labels, wrong_at(range(90), labels), wrong_at((), labels))
    QUALITY.read(pair)  # the imports of the official metrics
    started = time.process_time()
    QUALITY.read(pair)
    assert time.process_time() - started < 3
