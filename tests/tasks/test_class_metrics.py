"""Metrics that need more than two lists of classes: probabilities, a label that means something, groups, thresholds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

from bench.base.errors import DataError, UnavailableError
from bench.spec.suite import Task
from bench.tasks.evaluate import context_of
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS
from bench.tasks.metrics.context import Context
from bench.tasks.metrics.metric import METRICS, Answered, quality_scorer, score_part, scorer
from bench.tasks.predictions import ClassLogits, ScoreValues

COUNT = 41
OUTSIDE = Context(out_of_scope=2)


def value(column, logits, truth, context=OUTSIDE):
    part = Answered(ClassLogits(np.asarray(logits, dtype=float)), truth, context)
    return score_part(part, [METRICS.get(column)])[column]


def classes(*labels, count=3):
    return np.eye(count)[list(labels)] * 4.0


def drawn(seed, count=3, size=COUNT):
    """Logits with many ties, and true classes that they are related to."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, count, size)
    return np.round(random.normal(size=(size, count)) + np.eye(count)[truth], 1), truth.tolist()


def one_against_rest(said, truth, label):
    right = sum(s == t == label for s, t in zip(said, truth, strict=True))
    return 2 * right / (said.count(label) + truth.count(label))


def test_macro_f1_is_the_mean_of_each_class_against_the_rest():
    said, truth = [0, 0, 1, 1, 0], [0, 0, 1, 0, 2]
    by_hand = [2 * 2 / (3 + 3), 2 * 1 / (2 + 1), 0.0]  # class 2 is never right
    assert value("macro_f1", classes(*said), truth) == pytest.approx(sum(by_hand) / 3)
    logits, labels = drawn(0)
    said = logits.argmax(axis=1).tolist()
    expected = [one_against_rest(said, labels, label) for label in range(3)]
    assert value("macro_f1", logits, labels) == pytest.approx(sum(expected) / 3)


def test_macro_f1_leaves_out_a_class_that_neither_side_has():
    assert value("macro_f1", classes(0, 1, count=4), [0, 1]) == 1.0


@pytest.mark.parametrize("column", ["macro_f1", "fpr_at_99_recall", "auroc", "oos_recall", "matched_oos_recall"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), chosen=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=COUNT))
def test_the_score_of_chosen_examples_is_the_official_one_of_these_alone(column, seed, chosen):
    count = 2 if METRICS.get(column).of_positive else 3
    logits, truth = drawn(seed, count)
    context = Context(out_of_scope=count - 1, thresholds={"matched_oos_recall": 0.4})
    found = scorer(column, ClassLogits(logits), truth, context)(np.array(chosen))
    try:
        expected = value(column, logits[chosen], [truth[row] for row in chosen], context)
    except DataError:
        expected = math.nan
    assert found == pytest.approx(expected, nan_ok=True)


def test_the_rate_at_99_percent_recall_is_a_point_of_the_curve_of_scikit_learn():
    logits, truth = drawn(1, count=2, size=500)
    false, true, _ = roc_curve(truth, logits[:, 1] - logits[:, 0], drop_intermediate=False)
    assert value("fpr_at_99_recall", logits, truth) == pytest.approx(false[np.argmax(true >= 0.99)])
    assert 0 < value("fpr_at_99_recall", logits, truth) < 1


def test_of_three_spam_texts_all_must_be_found_for_a_recall_of_99_percent():
    logits = [[0, spam] for spam in (5, 3, 1, 4, 2, 0, -1)]
    truth = [1, 1, 1, 0, 0, 0, 0]
    assert value("fpr_at_99_recall", logits, truth) == 2 / 4  # the spam at 1 lets the two at 4 and 2 in
    details = METRICS.get("fpr_at_99_recall").details(ClassLogits(np.array(logits, dtype=float)), truth, Context())
    assert details == {"threshold": pytest.approx(1 / (1 + math.exp(-1))), "recall": 1.0}


def test_a_lower_false_positive_rate_is_a_higher_quality():
    parts = [(ClassLogits(np.array([[0, 3.0], [0, 1.0], [0, 2.0], [0, 0.0]])), [1, 1, 0, 0])]
    assert quality_scorer(parts, ["fpr_at_99_recall"])(np.arange(4)) == pytest.approx(1 - 1 / 2)


def test_logits_too_large_for_distinct_probabilities_are_still_ranked():
    assert value("auroc", [[0.0, 800.0], [0.0, 900.0]], [0, 1]) == 1.0
    assert value("fpr_at_99_recall", [[0.0, 800.0], [0.0, 900.0]], [0, 1]) == 0.0


def test_the_area_under_the_curve_counts_pairs_in_the_right_order():
    logits, truth = drawn(2, count=2)
    scores = logits[:, 1] - logits[:, 0]
    pairs = [(a > b) + (a == b) / 2 for a in scores[np.equal(truth, 1)] for b in scores[np.equal(truth, 0)]]
    assert value("auroc", logits, truth) == pytest.approx(np.mean(pairs))
    assert value("auroc", logits, truth) == pytest.approx(roc_auc_score(truth, scores))


@pytest.mark.parametrize("column", ["auroc", "fpr_at_99_recall"])
def test_a_ranking_needs_two_classes_and_both_of_them(column):
    with pytest.raises(DataError, match="all 2 examples have the same class"):
        value(column, classes(0, 1, count=2), [1, 1])
    with pytest.raises(DataError, match="two classes; this task has 3"):
        value(column, classes(0, 1), [0, 1])


def test_out_of_scope_recall_counts_only_texts_that_are_out_of_scope():
    assert value("oos_recall", classes(2, 2, 0, 1, 2), [2, 2, 2, 1, 0]) == pytest.approx(2 / 3)


def test_without_a_label_for_out_of_scope_the_message_says_which_key_is_missing():
    with pytest.raises(DataError, match="set out_of_scope"):
        value("oos_recall", classes(2, 0), [2, 0], Context())
    with pytest.raises(DataError, match="none of the 2 texts is out of scope"):
        value("oos_recall", classes(2, 0), [1, 0])


TASK = Task(
    name="intent",
    kind="classification",
    labels=("play", "stop", "oos"),
    metrics=("accuracy", "oos_recall", "matched_oos_recall"),
    data="clinc/plus",
    threshold="validation",
    out_of_scope="oos",
)


def labelled(truth, groups=None):
    return [
        Example(uid=str(row), text="t", label=label, group=groups[row] if groups else None)
        for row, label in enumerate(truth)
    ]


def best_by_trying(logits, truth):
    """The highest confidence that accepts 95 % of the in-scope texts."""
    confidence = softmax(logits, axis=1)[:, :2].max(axis=1)
    inside = confidence[np.not_equal(truth, 2)]
    return max(each for each in inside if np.mean(inside >= each) >= 0.95)


@pytest.mark.parametrize("size", [20, 41, 200])
def test_the_matched_threshold_is_the_one_found_by_trying_all(size):
    development, truth = drawn(size, size=size)
    logits, labels = drawn(size + 1, size=size)
    said = (ClassLogits(development), labelled(truth))
    context = context_of(TASK, labelled(labels), chosen_on=lambda: said)
    threshold = best_by_trying(development, truth)
    assert context.thresholds == {"matched_oos_recall": pytest.approx(threshold)}
    confidence = softmax(logits, axis=1)[:, :2].max(axis=1)
    outside = np.equal(labels, 2)
    scores = KINDS.get("classification").score(ClassLogits(logits), labelled(labels), TASK.metrics, context)
    assert scores["matched_oos_recall"] == pytest.approx(np.mean(confidence[outside] < threshold))
    details = METRICS.get("matched_oos_recall").details(ClassLogits(logits), labels, context)
    assert details["false_positive_rate"] == pytest.approx(np.mean(confidence[~outside] < threshold))


def test_a_threshold_is_chosen_only_for_a_metric_that_has_one():
    def never():
        raise AssertionError

    task = TASK.model_copy(update={"metrics": ("accuracy", "oos_recall")})
    assert context_of(task, labelled([0, 2]), chosen_on=never) == Context(out_of_scope=2)


def test_a_threshold_cannot_be_chosen_where_all_texts_are_out_of_scope():
    with pytest.raises(DataError, match="none of the 2 texts is in scope"):
        context_of(TASK, labelled([0, 2]), chosen_on=lambda: (ClassLogits(classes(2, 2)), labelled([2, 2])))


def test_a_threshold_that_was_not_chosen_is_missed():
    with pytest.raises(DataError, match=r"task\.threshold"):
        value("matched_oos_recall", classes(0, 2), [0, 2])


def test_gender_parity_counts_pairs_that_are_predicted_alike():
    groups = ("1", "2", "1", "2", "3", "3")
    logits = classes(0, 1, 0, 0, 1, 1, count=2)
    assert value("gender_parity", logits, [0, 0, 1, 1, 0, 0], Context(groups=groups)) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("groups", "message"),
    [((), "has no group"), (("1", None), "has no group"), (("1", "2"), "found a group of 1, expected pairs")],
)
def test_gender_parity_needs_pairs(groups, message):
    with pytest.raises(DataError, match=message):
        value("gender_parity", classes(0, 1), [0, 1], Context(groups=groups))


def test_gender_parity_has_no_interval_over_examples():
    with pytest.raises(UnavailableError, match="gender_parity"):
        scorer("gender_parity", ClassLogits(classes(0, 1)), [0, 1], Context(groups=("1", "1")))


def test_a_metric_of_probabilities_does_not_work_on_scores():
    with pytest.raises(DataError, match="not values"):
        METRICS.get("auroc").check(ScoreValues(np.zeros(2)))


def test_scikit_learn_agrees_with_macro_f1():
    logits, truth = drawn(3)
    expected = f1_score(truth, logits.argmax(axis=1), average="macro", zero_division=0)
    assert value("macro_f1", logits, truth) == pytest.approx(expected)
