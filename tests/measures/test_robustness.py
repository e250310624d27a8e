"""Quality on shifted splits and the gap to it."""

import pytest
from made_pairs import classes, given_pair, labelled, make_task, missing

from bench.measures.robustness.robustness import Robustness

ROBUSTNESS = Robustness()
EXAMPLES = {"validation": labelled([0, 1, 0, 1]), "shifted": labelled([0, 1, 0, 1])}
RIGHT, ONE_WRONG, TWO_WRONG = classes(0, 1, 0, 1), classes(0, 1, 0, 0), classes(0, 1, 1, 0)


def read(artifact, reference, **more):
    artifact, reference = (dict(zip(("validation", "shifted"), said, strict=True)) for said in (artifact, reference))
    return ROBUSTNESS.read(given_pair(make_task(ood=("shifted",)), EXAMPLES, artifact, reference, **more))


def test_the_gap_is_what_the_shift_costs_and_the_bias_its_quotient():
    reading = read((RIGHT, TWO_WRONG), (RIGHT, ONE_WRONG))
    assert reading.values == {"ood_quality": 0.5, "ood_gap": 0.5, "ood_relative_bias": 2.0}
    assert reading.reference == {"ood_quality": 0.75, "ood_gap": 0.25, "ood_relative_bias": 1.0}


def test_the_reference_has_a_relative_bias_of_one():
    said = (RIGHT, ONE_WRONG)
    assert read(said, said, is_reference=True).values["ood_relative_bias"] == 1.0


def test_equal_data_leave_no_gap_and_so_no_relative_bias():
    reading = read((ONE_WRONG, ONE_WRONG), (RIGHT, RIGHT))
    assert reading.values == {"ood_quality": 0.75, "ood_gap": 0.0}
    assert "0.0000" in reading.absent["ood_relative_bias"]
    assert missing(ROBUSTNESS, reading) == []


def test_equal_splits_leave_no_gap_whatever_the_model_says():
    same = {"validation": EXAMPLES["validation"], "shifted": EXAMPLES["validation"]}
    for said in (RIGHT, ONE_WRONG, TWO_WRONG):
        both = {"validation": said, "shifted": said}
        reading = ROBUSTNESS.read(given_pair(make_task(ood=("shifted",)), same, both, both, is_reference=True))
        assert reading.values["ood_gap"] == 0
        assert reading.values["ood_quality"] == reading.reference["ood_quality"]


def test_each_shifted_split_keeps_its_own_scores():
    task = make_task(ood=("overlap", "subsequence"))
    examples = dict.fromkeys(("validation", "overlap", "subsequence"), EXAMPLES["validation"])
    artifact = {"validation": RIGHT, "overlap": TWO_WRONG, "subsequence": RIGHT}
    reference = {"validation": RIGHT, "overlap": ONE_WRONG, "subsequence": RIGHT}
    reading = ROBUSTNESS.read(given_pair(task, examples, artifact, reference))
    assert reading.values["ood_quality"] == (0.5 + 1) / 2
    assert reading.conditions["by_split"] == {
        "artifact": {"overlap": {"accuracy": 0.5}, "subsequence": {"accuracy": 1.0}},
        "reference": {"overlap": {"accuracy": 0.75}, "subsequence": {"accuracy": 1.0}},
    }


def test_a_reference_that_gains_by_the_shift_has_no_relative_bias():
    assert "-0.2500" in read((RIGHT, RIGHT), (ONE_WRONG, RIGHT)).absent["ood_relative_bias"]


def test_a_task_without_a_shifted_split_says_so():
    said = {"validation": RIGHT}
    reading = ROBUSTNESS.read(given_pair(make_task(), EXAMPLES, said, said))
    assert set(reading.absent.values()) == {"the task has no shifted splits"}
    assert missing(ROBUSTNESS, reading) == []


@pytest.mark.parametrize("hidden", ["validation", "shifted"])
def test_hidden_labels_leave_a_reason(hidden):
    examples = {**EXAMPLES, hidden: labelled([None] * 4)}
    said = {"validation": RIGHT, "shifted": ONE_WRONG}
    reading = ROBUSTNESS.read(given_pair(make_task(ood=("shifted",)), examples, said, said))
    assert "label" in reading.absent["ood_gap"]
    assert missing(ROBUSTNESS, reading) == []
