"""Yes and no of each choice or label: MultiRC's official scores by hand, several labels against scikit-learn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from bench.base.errors import DataError
from bench.spec.suite import Task
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS, form_of
from bench.tasks.metrics.metric import scorer
from bench.tasks.predictions import ChoiceDecisions, LabelDecisions

CHOICES, LABELS = KINDS.get("several_choices"), KINDS.get("multi_label")
TASK = Task(
    name="made",
    kind="multi_label",
    labels=("a", "b", "c"),
    metrics=("micro_f1", "macro_f1", "subset_accuracy"),
    data={"source": "s", "subset": "t"},
)

# Three questions: the first all right, the second with one answer too many, the third with one missing and one wrong.
QUESTIONS = [
    Example(uid="1", text="p", pair="q", choices=("w", "x", "y"), label=(0, 2)),
    Example(uid="2", text="p", pair="q", choices=("w", "x"), label=(1,)),
    Example(uid="3", text="p", pair="q", choices=("w", "x", "y", "z"), label=(0, 1)),
]
SAID = ChoiceDecisions(((2.0, -1.0, 0.1), (0.5, 3.0), (1.0, -0.5, -2.0, 0.2)))


def test_multirc_pools_answers_for_f1_and_groups_by_question_for_exact_match():
    # true positives 2 + 1 + 1, said 2 + 2 + 2, right 2 + 1 + 2: F1a = 2 * 4 / (6 + 5)
    scores = CHOICES.score(SAID, QUESTIONS, ["f1", "exact_match"])
    assert scores == {"f1": pytest.approx(8 / 11), "exact_match": pytest.approx(1 / 3)}


def test_the_bootstrap_resamples_questions_and_not_answers():
    truth = [CHOICES.truth(example) for example in QUESTIONS]
    f1, exact = scorer("f1", SAID, truth), scorer("exact_match", SAID, truth)
    every = np.arange(3)
    assert (f1(every), exact(every)) == (pytest.approx(8 / 11), pytest.approx(1 / 3))
    twice = np.array([0, 0, 2])  # 2 * (2 + 2 + 1) / (4 + 4 + 4)
    assert (f1(twice), exact(twice)) == (pytest.approx(10 / 12), pytest.approx(2 / 3))


def test_a_question_without_right_answers_counts_and_nothing_right_anywhere_has_no_f1():
    nothing = [Example(uid="1", text="p", choices=("w", "x"), label=())]
    none, one = ChoiceDecisions(((-1.0, -1.0),)), ChoiceDecisions(((1.0, -1.0),))
    assert CHOICES.score(none, nothing, ["exact_match"]) == {"exact_match": 1.0}
    assert CHOICES.score(one, nothing, ["f1", "exact_match"]) == {"f1": 0.0, "exact_match": 0.0}
    with pytest.raises(DataError, match="f1: undefined, because nothing is right"):
        CHOICES.score(none, nothing, ["f1"])


def test_the_metrics_of_several_labels_are_scikit_learns():
    rng = np.random.default_rng(0)
    odds, true = rng.normal(size=(40, 3)), rng.random((40, 3)) < 0.4
    examples = [Example(uid=str(n), text="t", label=tuple(np.flatnonzero(row).tolist())) for n, row in enumerate(true)]
    said = LabelDecisions(tuple(map(tuple, odds.tolist())))
    found = LABELS.score(said, examples, ["micro_f1", "macro_f1", "subset_accuracy"])
    expected = {
        "micro_f1": f1_score(true, odds > 0, average="micro"),
        "macro_f1": f1_score(true, odds > 0, average="macro"),
        "subset_accuracy": accuracy_score(true, odds > 0),
    }
    assert found == pytest.approx(expected)
    truth = [LABELS.truth(example) for example in examples]
    chosen = rng.integers(0, 40, 40)
    for name, value in expected.items():
        resampled = scorer(name, said, truth)
        assert resampled(np.arange(40)) == pytest.approx(value)
        part = {"micro_f1": "micro", "macro_f1": "macro"}.get(name)
        again = (true[chosen], odds[chosen] > 0)
        assert resampled(chosen) == pytest.approx(f1_score(*again, average=part) if part else accuracy_score(*again))


def test_the_loss_is_binary_cross_entropy_per_label():
    odds = torch.tensor([[0.0, 2.0], [-1.0, 0.5]])
    loss = LABELS.loss(SimpleNamespace(logits=odds), {"labels": torch.tensor([[1, 1], [0, 1]])})
    by_hand = np.mean([np.log(2), np.log1p(np.exp(-2)), np.log1p(np.exp(-1)), np.log1p(np.exp(-0.5))])
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)


def test_any_number_of_labels_is_encoded_and_predicted(tokenizer):
    examples = [Example(uid=str(n), text="film", label=label) for n, label in enumerate([(), (0, 2), 1])]
    features = LABELS.encode(examples, tokenizer, task=TASK, max_length=8, training=True)
    assert [feature.targets["labels"] for feature in features] == [[0, 0, 0], [1, 0, 1], [0, 1, 0]]
    (pairs,) = LABELS.logits(SimpleNamespace(logits=torch.tensor([[1.0, -2.0, 0.0]] * 3)), None)
    said = LABELS.predict([(row.numpy(),) for row in pairs], features, examples)
    assert said == LabelDecisions(((1.0, -2.0, 0.0),) * 3)
    assert said.compared([[], [0, 2], [1]])[0] == [[1, 0, 0]] * 3
    with pytest.raises(DataError, match="x: label 3 is not one of 0 to 2"):
        LABELS.check(Example(uid="x", text="t", label=(0, 3)), TASK, where="x")


def test_agreement_is_by_example_for_sets_and_by_decision_for_probabilities():
    mine, its = LabelDecisions(((1.0, -1.0), (2.0, 2.0))), LabelDecisions(((3.0, -1.0), (2.0, -2.0)))
    found = mine.agreement(its)
    p, q = (1 / (1 + np.exp(-np.array(each.logits).ravel())) for each in (mine, its))
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert found["label_loyalty"] == 0.5
    assert found["fidelity_kl"] == pytest.approx(kl.mean())
    assert 0 < found["probability_loyalty"] < 1
    assert mine.agreement(mine)["probability_loyalty"] == pytest.approx(1.0)
    assert mine.details(its, ())["probabilities"] == "of yes and no, each of the 4 judged labels by itself"


def test_decisions_are_stored_and_calibrated_one_by_one():
    for form in (ChoiceDecisions, LabelDecisions):
        said = form(((1.0, -2.0), (0.5, 0.0)))
        assert form_of(said.stored()[0]) is form
        assert form.read(said.stored()) == said
    logits, right = said.as_classes([[0], [0, 1]])
    assert logits.tolist() == [[0, 1.0], [0, -2.0], [0, 0.5], [0, 0.0]]
    assert right == [1, 0, 1, 1]
