"""Scores by group, and what a record keeps of thresholds and of what metrics need besides predictions."""

from dataclasses import replace

import numpy as np
import pytest
from made_pairs import classes, given_pair, labelled, make_task, missing

from bench.measures.quality.conditions import MOST_GROUPS
from bench.measures.quality.quality import Quality
from bench.spec.suite import Task
from bench.tasks.metrics.context import Context
from bench.tasks.predictions import ClassLogits

QUALITY = Quality()


def grouped(labels, groups):
    return tuple(replace(each, group=group) for each, group in zip(labelled(labels), groups, strict=True))


def read(task, examples, artifact, reference):
    return QUALITY.read(given_pair(task, {"validation": examples}, {"validation": artifact}, {"validation": reference}))


def test_every_group_has_the_metrics_of_both_models_and_its_number_of_examples():
    examples = grouped([0, 1, 1, 1], ["overlap", "overlap", "subsequence", "subsequence"])
    found = read(make_task(), examples, classes(0, 1, 0, 1), classes(0, 1, 1, 1)).conditions["by_group"]
    assert found["artifact"]["validation"] == {
        "overlap": {"examples": 2, "accuracy": 1.0},
        "subsequence": {"examples": 2, "accuracy": 0.5},
    }
    assert found["reference"]["validation"]["subsequence"]["accuracy"] == 1.0


def test_a_group_without_a_score_says_why():
    task = make_task(metrics=("f1",))
    found = read(task, grouped([0, 0, 1, 1], ["a", "a", "b", None]), classes(0, 0, 1, 1), classes(0, 0, 1, 1))
    by_group = found.conditions["by_group"]["artifact"]["validation"]
    assert "no example has or is predicted to have" in by_group["a"]["absent"]
    assert by_group["b"] == {"examples": 1, "absent": "one example alone has no score"}


def test_examples_without_groups_leave_nothing_about_groups_and_thresholds_in_the_record():
    conditions = read(make_task(), labelled([0, 1]), classes(0, 1), classes(0, 1)).conditions
    assert not {"by_group", "details", "scored_with"} & set(conditions)


def test_too_many_groups_are_not_listed():
    count = MOST_GROUPS + 1
    said = classes(*[0] * count)
    found = read(make_task(), grouped([0] * count, map(str, range(count))), said, said).conditions["by_group"]
    assert found == "51 groups; scores by group are given for at most 50"


def test_pairs_are_scored_as_pairs_and_not_by_group():
    task = make_task(metrics=("gender_parity", "accuracy"))
    reading = read(task, grouped([0, 1, 1, 1], ["1", "1", "2", "2"]), classes(0, 1, 1, 1), classes(0, 0, 1, 1))
    assert reading.values["gender_parity"] == 0.5
    assert reading.reference["gender_parity"] == 1.0
    assert "by_group" not in reading.conditions
    assert missing(QUALITY, reading) == []
    assert "gender_parity" in reading.absent["quality_low"]


def test_each_model_has_a_threshold_of_its_own_from_the_development_set():
    task = Task(
        name="intent",
        kind="classification",
        labels=("play", "stop", "oos"),
        metrics=("matched_oos_recall",),
        data="clinc/plus",
        evaluate=("test",),
        threshold="validation",
        out_of_scope="oos",
    )
    examples = {"validation": labelled([0] * 20), "test": labelled([0, 0, 2, 2])}
    sure = np.array([[4.0, 0, 0]] * 19 + [[1.0, 0, 0]])
    test = ClassLogits(np.array([[4.0, 0, 0], [0.5, 0, 0], [0.6, 0, 0], [4.0, 0, 0]]))
    artifact = {"validation": ClassLogits(sure), "test": test}
    reference = {"validation": ClassLogits(sure / 10), "test": test}
    reading = QUALITY.read(given_pair(task, examples, artifact, reference))
    assert missing(QUALITY, reading) == []
    assert reading.values["matched_oos_recall"] == 0.5
    assert reading.reference["matched_oos_recall"] == 0.0
    scored = reading.conditions["scored_with"]
    assert scored["out_of_scope"] == 2
    assert scored["chosen_on"] == "validation"
    ours, theirs = (scored["thresholds"][side]["test"]["matched_oos_recall"] for side in ("artifact", "reference"))
    assert ours > theirs
    details = reading.conditions["details"]["matched_oos_recall"]["artifact"]["test"]
    assert details["false_positive_rate"] == 0.5
    stored = Context.stored(reading.conditions, "artifact", "test")
    assert stored == Context(out_of_scope=2, thresholds={"matched_oos_recall": pytest.approx(ours)})
