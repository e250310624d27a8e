"""Task performance, its mean and its retention."""

import numpy as np
import pytest
from made_pairs import classes, given_pair, labelled, make_task, missing

from bench.measures.quality import Quality
from bench.tasks.kinds.kind import Predictions

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
    varied, constant = (Predictions(values=np.array(values)) for values in ([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]))
    reading = QUALITY.read(one_split(task, [1.0, 2.0, 4.0], varied, constant))
    assert reading.values["pearson"] == pytest.approx(1.0)
    assert reading.reference == {}
    assert "the reference has no quality" in reading.absent["retention"]
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
