"""The metrics on chosen examples equal the official ones, on every resample."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import DataError, UnavailableError
from bench.tasks.metrics.metric import quality_scorer, score_metrics, scorer
from bench.tasks.predictions import ClassLogits, ScoreValues, WrittenAnswers

COUNT = 37
WORDS = ["the cat", "a black cat", "cat cat", "dog", ""]


def said(kind, values, count=3):
    if kind == "classes":
        return ClassLogits(np.eye(count)[list(values)])
    if kind == "scores":
        return ScoreValues(np.array(values, dtype=float))
    return WrittenAnswers(tuple(values))


def lists(elements):
    return st.lists(elements, min_size=COUNT, max_size=COUNT)


def draws(elements, truths):
    return lists(elements), lists(truths), lists(st.integers(0, COUNT - 1))


def official(metric, predictions, truth):
    try:
        return score_metrics([metric], predictions, truth)[metric]
    except DataError:
        return math.nan


def check(column, metric, kind, predictions, truth, chosen):
    """The column on the chosen examples equals the official metric given only these."""
    found = scorer(column, said(kind, predictions), truth)(np.array(chosen))
    expected = official(metric, [predictions[row] for row in chosen], [truth[row] for row in chosen])
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("metric", ["accuracy", "mcc"])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_class_metrics_on_a_resample_are_the_official_ones(metric, classes, data):
    labels = st.integers(0, classes - 1)
    check(metric, metric, "classes", *(data.draw(part) for part in draws(labels, labels)))


@settings(max_examples=20, deadline=None)
@given(*draws(st.integers(0, 1), st.integers(0, 1)))
def test_f1_on_a_resample_is_the_official_one(predictions, truth, chosen):
    check("f1", "f1", "classes", predictions, truth, chosen)


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_correlations_on_a_resample_are_the_official_ones(metric, data):
    scores = st.integers(0, 20).map(lambda tenths: tenths / 4)  # few values, and so many ties
    check(metric, metric, "scores", *(data.draw(part) for part in draws(scores, scores)))


@pytest.mark.parametrize(("column", "metric"), [("exact_match", "exact_match"), ("f1", "token_f1")])
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_answer_metrics_on_a_resample_are_the_official_ones(column, metric, data):
    known = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2)
    check(column, metric, "answers", *(data.draw(part) for part in draws(st.sampled_from(WORDS), known)))


@pytest.mark.parametrize(
    ("metric", "kind", "predictions", "truth"),
    [("f1", "classes", [0, 0], [0, 0]), ("pearson", "scores", [1, 1], [1, 2]), ("spearman", "scores", [1, 2], [3, 3])],
)
def test_an_undefined_score_is_not_a_number(metric, kind, predictions, truth):
    assert math.isnan(scorer(metric, said(kind, predictions), truth)(np.arange(2)))


def test_quality_weighs_splits_and_metrics_alike_whatever_their_size():
    parts = [(said("classes", [1, 1, 0, 0]), [1, 1, 1, 0]), (said("classes", [1, 0]), [1, 1])]
    expected = ((3 / 4 + 4 / 5) / 2 + (1 / 2 + 2 / 3) / 2) / 2
    assert quality_scorer(parts, ["accuracy", "f1"])(np.arange(6)) == pytest.approx(expected)
    redrawn = quality_scorer(parts, ["accuracy"])(np.array([4, 4, 0, 5]))
    assert redrawn == pytest.approx((1 + 2 / 3) / 2)
    assert math.isnan(quality_scorer(parts, ["accuracy"])(np.array([0, 1])))


def test_a_metric_that_cannot_be_resampled_is_named():
    with pytest.raises(UnavailableError, match="'exact_match'"):
        scorer("exact_match", said("classes", [0, 1]), [0, 1])
