"""The measures of quality and agreement on tasks whose examples have several decisions, or a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from made_pairs import given_pair, missing

from bench.measures.agreement.agreement import Agreement
from bench.measures.quality.quality import Quality, expected_calibration_error
from bench.spec.suite import Task
from bench.tasks.examples import Answer, Example
from bench.tasks.predictions import AnswersOrNone, ChoiceDecisions, ChosenAnswers, ClassLogits


def task_of(kind, metrics):
    return Task(
        name="made",
        kind=kind,
        metrics=metrics,
        data={"source": "s", "subset": "t"},
        evaluate=("a",),
        trained_on="other",
    )


def choices(count, label, number):
    return Example(uid=str(number), text="t", choices=tuple(f"word {n}" for n in range(count)), label=label)


def read(task, examples, artifact, reference):
    pair = given_pair(task, {"a": tuple(examples)}, {"a": artifact}, {"a": reference})
    readings = Quality().read(pair), Agreement().read(pair)
    assert [missing(measure, found) for measure, found in zip((Quality(), Agreement()), readings, strict=True)] == [
        [],
        [],
    ]
    return readings


def test_several_choices_are_calibrated_by_decision_and_resampled_by_question():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 5, 40)
    examples = [choices(n, tuple(np.flatnonzero(rng.random(n) < 0.5).tolist()), row) for row, n in enumerate(counts)]
    said = [ChoiceDecisions(tuple(tuple(rng.normal(size=n).tolist()) for n in counts)) for _ in range(2)]
    quality, agreement = read(task_of("several_choices", ("exact_match", "f1")), examples, *said)
    logits, right = said[0].as_classes([list(example.label) for example in examples])
    assert quality.values["calibration_ece"] == pytest.approx(expected_calibration_error(logits, right))
    assert quality.conditions["calibration"].endswith(f"over {counts.sum()} judged choices")
    assert quality.conditions["examples"] == 40
    assert {"quality_low", "drop_p", "retention_low"} <= set(quality.values)
    assert {"label_loyalty", "probability_loyalty", "fidelity_kl"} <= set(agreement.values)


def test_one_right_choice_of_different_numbers_has_every_measure_of_a_class():
    examples = [choices(count, 0, count) for count in (2, 3, 4)]
    artifact = ClassLogits.read([[1.0, 0.0], [0.0, 1.0, 2.0], [3.0, 1.0, 0.0, 0.0]])
    reference = ClassLogits.read([[1.0, 0.5], [2.0, 1.0, 0.0], [3.0, 1.0, 0.0, 1.0]])
    quality, agreement = read(task_of("multiple_choice", ("accuracy",)), examples, artifact, reference)
    assert quality.values["accuracy"] == pytest.approx(2 / 3)
    assert agreement.values["label_loyalty"] == pytest.approx(2 / 3)
    assert 0 < agreement.values["probability_loyalty"] < 1
    assert "calibration_ece" in quality.values


def test_a_cloze_is_scored_in_words_and_compared_in_probabilities():
    examples = [choices(count, (0, 1), count) for count in (2, 3)]
    artifact = ChosenAnswers(("word 1", "word 2"), ((0.0, 1.0), (0.0, 1.0, 2.0)))
    reference = ChosenAnswers(("word 0", "word 0"), ((1.0, 0.0), (2.0, 1.0, 0.0)))
    quality, agreement = read(task_of("cloze", ("exact_match", "f1")), examples, artifact, reference)
    assert (quality.values["exact_match"], quality.values["f1"]) == (0.5, pytest.approx(0.75))
    assert agreement.values["label_loyalty"] == 0.0
    assert 0 < agreement.values["probability_loyalty"] < 1


def test_scores_with_and_without_an_answer_and_both_thresholds_are_stated():
    rows = [("the film", (Answer("film", 4),)), ("a plot", (Answer("", 0),)), ("a story", (Answer("story", 2),))]
    examples = [Example(uid=str(n), text="t", pair=text, answers=known) for n, (text, known) in enumerate(rows)]
    best = ["film", "plot", "story"]
    artifact = AnswersOrNone.of(best, [0.0, 1.0, 2.0], threshold=0.5)
    reference = AnswersOrNone.of(best, [0.0, 1.0, -2.0], threshold=0.0)
    quality, agreement = read(task_of("span_qa_no_answer", ("exact_match", "f1")), examples, artifact, reference)
    assert quality.values["exact_match"] == pytest.approx(2 / 3)
    assert quality.reference["exact_match"] == 1.0
    assert quality.conditions["decided"]["artifact"]["a"] == {"thresholds": [0.5], "answered": 1, "examples": 3}
    assert quality.conditions["decided"]["reference"]["a"]["thresholds"] == [0.0]
    parts = quality.conditions["by_part"]["artifact"]["a"]
    assert parts["has_answer"] == {"exact_match": 0.5, "f1": 0.5, "examples": 2}
    assert parts["no_answer"] == {"exact_match": 1.0, "f1": 1.0, "examples": 1}
    assert quality.conditions["scored"]["a"]["no_answer"] == 1
    assert agreement.values["label_loyalty"] == pytest.approx(2 / 3)
