from __future__ import annotations

import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import DataError, UnknownNameError
from bench.tasks.metrics.answers import normalise_answer, word_f1
from bench.tasks.metrics.metric import METRICS, score_metrics

BINARY = np.random.default_rng(0).integers(0, 2, size=(2, 200))


def counts(predictions, references):
    tp = int(((predictions == 1) & (references == 1)).sum())
    fp = int(((predictions == 1) & (references == 0)).sum())
    fn = int(((predictions == 0) & (references == 1)).sum())
    return tp, fp, fn, len(predictions) - tp - fp - fn


def test_binary_metrics_equal_their_formulas_over_the_confusion_table():
    tp, fp, fn, tn = counts(*BINARY)
    scores = score_metrics(["accuracy", "f1", "mcc"], *BINARY.tolist())
    assert scores["accuracy"] == pytest.approx((tp + tn) / 200)
    assert scores["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    assert scores["mcc"] == pytest.approx((tp * tn - fp * fn) / product**0.5)


def test_f1_is_of_class_one_and_so_changes_when_the_classes_swap():
    predictions, references = [1, 1, 1, 0], [1, 1, 0, 0]
    swapped = score_metrics(["f1"], [1 - p for p in predictions], [1 - r for r in references])
    assert score_metrics(["f1"], predictions, references)["f1"] == pytest.approx(4 / 5)
    assert swapped["f1"] == pytest.approx(2 / 3)


def test_correlations_equal_numpy_on_values_and_on_ranks():
    x, y = np.random.default_rng(1).normal(size=(2, 50))
    y = x + y
    scores = score_metrics(["pearson", "spearman"], x.tolist(), y.tolist())
    assert scores["pearson"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    ranks = (x.argsort().argsort(), y.argsort().argsort())
    assert scores["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)


def test_scores_keep_double_precision():
    x = [1.0, 1.0 + 1e-12, 1.0 + 2e-12]
    assert score_metrics(["spearman"], x, [1.0, 2.0, 3.0])["spearman"] == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["accuracy", "f1", "mcc", "pearson", "spearman"])
def test_gold_predictions_score_one(name):
    assert score_metrics([name], [0, 1, 1, 0], [0, 1, 1, 0])[name] == pytest.approx(1.0)


def test_gold_answers_score_one():
    scores = score_metrics(["exact_match", "token_f1"], ["the Cat!", "b"], [["a dog", "cat"], ["b"]])
    assert scores == {"exact_match": 1.0, "token_f1": 1.0}


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_correlation_with_a_constant_is_refused_with_the_constant_named(name):
    with pytest.raises(DataError, match=rf"{name}: undefined, because all 3 predictions are 0\.25"):
        score_metrics([name], [0.25] * 3, [1.0, 2.0, 3.0])


def test_mcc_of_a_constant_is_zero_by_convention():
    assert score_metrics(["mcc"], [1, 1, 1], [0, 1, 0]) == {"mcc": 0.0}


def test_f1_without_any_positive_is_refused_rather_than_zero():
    with pytest.raises(DataError, match="f1: undefined"):
        score_metrics(["f1"], [0, 0], [0, 0])
    assert score_metrics(["f1"], [0, 0], [0, 1]) == {"f1": 0.0}


def test_f1_of_three_classes_is_refused():
    with pytest.raises(DataError, match=r"classes \[0, 1, 2\]"):
        score_metrics(["f1"], [0, 1, 2], [0, 1, 1])


def test_nothing_to_score_is_refused():
    with pytest.raises(DataError, match="no examples"):
        score_metrics(["accuracy"], [], [])
    with pytest.raises(DataError, match="2 predictions for 1 references"):
        score_metrics(["accuracy"], [0, 1], [0])
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        score_metrics(["acuracy"], [0], [0])


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("The  Eiffel-Tower!", "eiffeltower"),
        ("an apple, a day", "apple day"),
        ("Theory of a theme", "theory of theme"),
        ("U.S.", "us"),
        ("the", ""),
    ],
)
def test_answers_are_normalised_as_in_squad(raw, plain):
    assert normalise_answer(raw) == plain


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("black cat", "the black cat", 1.0),
        ("cat cat", "cat", 2 / 3),  # a word counts as often as the other side has it
        ("big black cat", "black dog", 2 / 5),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("the", "a", 1.0),
    ],
)
def test_word_f1_equals_the_hand_computed_value(answer, reference, expected):
    assert word_f1(answer, reference) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.sampled_from("xyz"), max_size=6), st.lists(st.sampled_from("xyz"), max_size=6))
def test_word_f1_is_symmetric_and_between_zero_and_one(left, right):
    forth, back = word_f1(" ".join(left), " ".join(right)), word_f1(" ".join(right), " ".join(left))
    assert forth == back
    assert 0 <= forth <= 1
    assert (forth == 1) == (sorted(left) == sorted(right))


def test_the_best_reference_counts_and_exact_match_is_never_above_f1():
    answers, references = ["black cat", "dog"], [["white cat", "the black cat sat"], ["the dog"]]
    scores = score_metrics(["exact_match", "token_f1"], answers, references)
    assert scores == {"exact_match": 0.5, "token_f1": pytest.approx((0.8 + 1) / 2)}


def test_scoring_needs_no_network_and_leaves_no_cache(monkeypatch, tmp_path):
    import evaluate

    def refuse(*_args, **_kwargs):
        raise AssertionError("scoring opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path / "cache"))
    score_metrics(["accuracy", "mcc"], [0, 1], [0, 1])
    assert not (tmp_path / "cache").exists()


def test_every_metric_is_an_evaluate_metric_that_yields_its_own_name():
    import evaluate

    for name, metric in METRICS.items():
        assert isinstance(metric.official(), evaluate.Metric)
        assert metric.name == name
    assert METRICS.names() == [
        *("accuracy", "all_choices_right", "auroc", "bleu", "exact_match", "f1", "fpr_at_99_recall", "gender_parity"),
        *("label_macro_f1", "macro_f1", "matched_oos_recall", "mcc", "micro_f1", "mrr_at_10", "ndcg_at_10"),
        *("oos_recall", "pearson", "perplexity", "pooled_f1", "recall_at_100", "spearman", "subset_accuracy"),
        "token_f1",
    ]
