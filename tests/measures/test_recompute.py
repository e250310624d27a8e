"""What is computed from the stored predictions equals what the record says."""

from dataclasses import replace

import numpy as np
import pytest
from made_pairs import GivenPredictions, labelled, make_pair, make_task

from bench.base.errors import RecordError
from bench.measures.agreement.agreement import Agreement
from bench.measures.agreement.recompute import recompute
from bench.measures.quality.quality import Quality
from bench.records.record import Record, write_record
from bench.records.tables import write_tables
from bench.tasks.examples import Answer, Example
from bench.tasks.predictions import ClassLogits, ScoreValues, WrittenAnswers

SIZES = {"a": 37, "b": 20, "train": 11}
WORDS = np.array(["the cat", "a cat", "dog", ""])


def written(tmp_path, task, examples, said):
    """The path of a record that holds the quality and the agreement of the given predictions, and that record."""
    given = {(model, split): said(split) for model in ("artifact", "reference") for split in SIZES}
    pair = make_pair(task, GivenPredictions(task, examples, given), train_examples=9)
    readings = {"quality": Quality().read(pair), "agreement": Agreement().read(pair)}
    texts = ("key", "suite", "task", "task_kind", "model", "recipe", "recipe_base", "family", "setting_id")
    empty = {"stages": (), "setting": {}, "machine": {}, "samples": {}, "warnings": (), "spans_s": {}}
    path = tmp_path / "a.json"
    record = Record.model_validate(
        {
            **dict.fromkeys(texts, "made"),
            **empty,
            "suite_version": 1,
            "generated": True,
            "task_version": 1,
            "seed": 0,
            "machine_id": "made",
            "created": "2026-01-01T00:00:00+00:00",
            "values": {name: value for part in readings.values() for name, value in part.values.items()},
            "reference": {},
            "absent": {},
            "conditions": {name: part.conditions for name, part in readings.items()},
            "provenance": {"tables": write_tables(path, [part.tables for part in readings.values()])},
        }
    )
    write_record(path, record)
    return path, record


def check(path, record, expected):
    found = recompute(path)
    assert set(found) == set(expected)
    assert found == pytest.approx({name: record.values[name] for name in expected}, abs=1e-12)


def test_class_predictions_give_the_metrics_and_the_agreement_again(tmp_path):
    rng = np.random.default_rng(0)
    task = make_task(metrics=("accuracy", "f1", "mcc"), evaluate=("a", "b"))
    examples = {split: labelled(rng.integers(0, 2, size=size).tolist(), split) for split, size in SIZES.items()}

    def said(split):  # a model's outputs are 32-bit numbers
        return ClassLogits(rng.normal(size=(SIZES[split], 2)).astype(np.float32).astype(np.float64))

    agreement = {"label_loyalty", "probability_loyalty", "fidelity_kl", "fidelity_kl_train"}
    check(*written(tmp_path, task, examples, said), {"accuracy", "f1", "mcc", "quality", *agreement})


def test_numbers_that_need_64_bits_give_the_same_scores_again(tmp_path):
    rng = np.random.default_rng(1)
    task = make_task("regression", metrics=("pearson", "spearman"), evaluate=("a", "b"))
    examples = {split: labelled(rng.normal(size=size).tolist(), split) for split, size in SIZES.items()}
    path, record = written(tmp_path, task, examples, lambda split: ScoreValues(rng.normal(size=SIZES[split])))
    check(path, record, {"pearson", "spearman", "quality", "output_correlation"})


def test_answers_give_the_metrics_and_the_agreement_again(tmp_path):
    rng = np.random.default_rng(2)
    task = make_task("span_qa", metrics=("exact_match", "f1"), evaluate=("a", "b"))
    answers = (Answer("the cat", 0), Answer("black cat", 0))
    examples = {
        split: tuple(
            Example(uid=f"{split}{row}", text="?", pair="the black cat", answers=answers) for row in range(size)
        )
        for split, size in SIZES.items()
    }
    path, record = written(
        tmp_path, task, examples, lambda split: WrittenAnswers(tuple(rng.choice(WORDS, SIZES[split]).tolist()))
    )
    check(path, record, {"exact_match", "f1", "quality", "label_loyalty"})


def test_hidden_labels_leave_the_agreement_alone(tmp_path):
    rng = np.random.default_rng(3)
    task = make_task(evaluate=("a", "b"), trained_on="other")
    examples = {split: labelled([None] * size, split) for split, size in SIZES.items()}
    path, record = written(tmp_path, task, examples, lambda split: ClassLogits(rng.normal(size=(SIZES[split], 2))))
    check(path, record, {"label_loyalty", "probability_loyalty", "fidelity_kl"})


def test_a_record_whose_splits_are_not_in_its_predictions_is_refused(tmp_path):
    task = make_task(trained_on="other", evaluate=("a",))
    examples = {split: labelled([0] * size, split) for split, size in SIZES.items()}
    path, record = written(tmp_path, task, examples, lambda split: ClassLogits(np.zeros((SIZES[split], 2))))
    path.unlink()
    write_record(path, record.model_copy(update={"conditions": {"agreement": {"splits": ["z"]}}}))
    with pytest.raises(RecordError, match="none of its evaluation splits"):
        recompute(path)


def test_a_score_at_a_chosen_threshold_is_computed_again_with_the_same_threshold(tmp_path):
    rng = np.random.default_rng(5)
    metrics = ("accuracy", "macro_f1", "oos_recall", "matched_oos_recall")
    task = make_task(metrics=metrics, labels=("a", "b", "oos"), evaluate=("a", "b"), threshold="train")
    task = task.model_copy(update={"out_of_scope": "oos"})
    examples = {split: labelled(rng.integers(0, 3, size=size).tolist(), split) for split, size in SIZES.items()}

    def said(split):
        return ClassLogits(rng.normal(size=(SIZES[split], 3)).astype(np.float32).astype(np.float64))

    path, record = written(tmp_path, task, examples, said)
    found = recompute(path)
    for name in (*metrics, "quality"):
        assert found[name] == pytest.approx(record.values[name], abs=1e-12)


def test_pairs_are_not_stored_so_their_parity_is_not_computed_again(tmp_path):
    task = make_task(metrics=("gender_parity",), evaluate=("b",))
    examples = {
        split: tuple(replace(each, group=str(row // 2)) for row, each in enumerate(labelled([0] * size, split)))
        for split, size in SIZES.items()
    }
    path, record = written(tmp_path, task, examples, lambda split: ClassLogits(np.eye(2)[[0] * SIZES[split]]))
    assert record.values["gender_parity"] == 1.0
    assert not {"gender_parity", "quality"} & set(recompute(path))
