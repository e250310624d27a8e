"""Bias-only models: how far an example can be told from something shallow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.base.errors import MethodError
from bench.tasks.features import Feature
from bench.training.shortcuts import READS, bag_of_words, overlap, shortcut_degrees


def single(ids, label, example):
    return Feature(inputs={"input_ids": [2, *ids, 3]}, targets={"labels": label}, example=example)


def pair(first, second, label, example):
    ids = [2, *first, 3, *second, 3]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return Feature(inputs={"input_ids": ids, "token_type_ids": segments}, targets={"labels": label}, example=example)


def told_by_a_word(count=60):
    """Token 7 says label 1 in all but the last ten examples, which have labels against it."""
    rows = [single([10 + index % 5, 7 if index % 2 else 8], index % 2, index) for index in range(count - 10)]
    return rows + [single([10 + index % 5, 7 if index % 2 else 8], 1 - index % 2, index) for index in range(50, count)]


def degrees(features, reads="bag-of-words", **options):
    return shortcut_degrees(features, **{"reads": reads, "classes": 2, "folds": 5, "seed": 0, **options})


def test_examples_that_a_word_tells_have_a_high_degree_and_those_against_it_a_low_one():
    found = degrees(told_by_a_word())
    assert found[:50].min() > 0.6
    assert found[50:].max() < 0.4
    assert ((found > 0) & (found < 1)).all()


def test_no_word_tells_labels_that_are_drawn_by_chance():
    draws = np.random.default_rng(0)
    rows = [single([10 + index % 7], int(draws.integers(2)), index) for index in range(400)]
    assert abs(degrees(rows).mean().item() - 0.5) < 0.05


def test_the_model_of_a_fold_is_the_penalised_optimum():
    """An independent Newton's method on the same objective gives the same probabilities."""
    features = told_by_a_word()
    shallow = bag_of_words(features)
    dense = np.zeros((len(features), shallow.width))
    for row, columns in enumerate(shallow.columns):
        dense[row, columns] = 1.0
    labels = np.array([each.targets["labels"] for each in features])
    found = degrees(features, folds=2, seed=3)
    import random

    order = list(range(len(features)))
    random.Random(3).shuffle(order)
    part = np.empty(len(features), dtype=int)
    part[order] = np.arange(len(features)) % 2
    for fold in range(2):
        seen, judged = part != fold, part == fold
        # With two classes and a penalty on both, the optimum has w1 = -w0: the margin's penalty is half as large.
        margin = np.zeros(shallow.width)
        for _ in range(50):
            p = 1 / (1 + np.exp(-dense[seen] @ margin))
            slope = dense[seen].T @ (p - labels[seen]) + 0.5 * margin
            curve = (dense[seen].T * (p * (1 - p))) @ dense[seen] + 0.5 * np.eye(shallow.width)
            margin -= np.linalg.solve(curve, slope)
        p = 1 / (1 + np.exp(-dense[judged] @ margin))
        expected = np.where(labels[judged] == 1, p, 1 - p)
        np.testing.assert_allclose(found[torch.from_numpy(judged)].numpy(), expected, atol=2e-3)


def test_an_example_is_never_judged_by_a_model_that_saw_it():
    """Of features of one example one would give the other away."""
    draws = np.random.default_rng(1)
    rows = []
    for index in range(40):
        label = int(draws.integers(2))
        rows += [single([100 + index], label, index), single([100 + index], label, index)]
    assert abs(degrees(rows).mean().item() - 0.5) < 0.1


def test_the_second_text_alone_and_the_overlap_read_what_they_say():
    rows = [pair([11, 12, 13], [11, 12] if index % 2 else [14, 15], index % 2, index) for index in range(40)]
    assert degrees(rows, "overlap").min() > 0.8
    assert degrees(rows, "second-text").min() > 0.8
    shallow = overlap(rows[1:2])
    assert shallow.values[0][0] == pytest.approx(3 / 3)  # 11, 12 and the separator
    told_by_first = [pair([11 if index % 2 else 12], [14, 15], index % 2, index) for index in range(40)]
    assert degrees(told_by_first, "second-text").max() < 0.6
    assert degrees(told_by_first, "bag-of-words").min() > 0.8


@pytest.mark.parametrize("reads", ["second-text", "overlap"])
def test_single_texts_have_no_second_text(reads):
    with pytest.raises(MethodError, match="needs pairs of texts that segment ids tell apart"):
        degrees(told_by_a_word(), reads)


def test_a_task_without_classes_is_refused():
    rows = [single([10], 0.5, index) for index in range(4)]
    with pytest.raises(MethodError, match="predicts one class per example, and this task has none"):
        degrees(rows)


def test_the_same_seed_gives_the_same_degrees():
    for reads in READS:
        rows = [pair([11, 12 + index % 3], [13, 12], index % 2, index) for index in range(20)]
        assert torch.equal(degrees(rows, reads), degrees(rows, reads))
