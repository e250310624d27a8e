from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest

from bench.base.errors import DataError, UnknownNameError
from bench.spec.suite import Task
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS
from bench.tasks.predictions import ClassLogits


def make_task(kind="classification", labels=("bad", "good"), metrics=("accuracy",)):
    labels = labels if kind == "classification" else ()
    return Task(name="made", kind=kind, labels=labels, metrics=metrics, data={"source": "s", "subset": "t"})


def examples(*labels, pair=None):
    return [Example(uid=f"e{n}", text="the film was good", pair=pair, label=label) for n, label in enumerate(labels)]


def encode(kind, given, tokenizer, *, training=True, max_length=32):
    task = make_task(kind)
    return KINDS.get(kind).encode(given, tokenizer, task=task, max_length=max_length, training=training)


def test_features_are_unpadded_and_carry_the_label_in_training_only(tokenizer):
    given = [Example(uid="a", text="good film", label=1), Example(uid="b", text="the story is boring", label=0)]
    features = encode("classification", given, tokenizer)
    assert [tokenizer.convert_ids_to_tokens(f.inputs["input_ids"]) for f in features] == [
        ["[CLS]", "good", "film", "[SEP]"],
        ["[CLS]", "the", "story", "is", "boring", "[SEP]"],
    ]
    assert [f.targets for f in features] == [{"labels": 1}, {"labels": 0}]
    assert [f.example for f in features] == [0, 1]
    assert [f.targets for f in encode("classification", given, tokenizer, training=False)] == [{}, {}]


def test_pairs_get_both_texts_and_token_types_where_the_tokenizer_has_them(tokenizer):
    typed = copy.deepcopy(tokenizer)
    typed.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    (plain,) = encode("classification", examples(1, pair="it is"), tokenizer)
    (feature,) = encode("classification", examples(1, pair="it is"), typed)
    assert set(plain.inputs) == {"input_ids", "attention_mask"}
    tokens = tokenizer.convert_ids_to_tokens(feature.inputs["input_ids"])
    assert tokens == ["[CLS]", "the", "film", "was", "good", "[SEP]", "it", "is", "[SEP]"]
    assert feature.inputs["token_type_ids"] == [0] * 6 + [1] * 3


def test_long_pairs_are_cut_to_the_length_from_the_longer_text(tokenizer):
    given = [Example(uid="a", text="good " * 20, pair="bad bad", label=0)]
    (feature,) = encode("classification", given, tokenizer, max_length=12)
    tokens = tokenizer.convert_ids_to_tokens(feature.inputs["input_ids"])
    assert len(tokens) == 12
    assert tokens.count("bad") == 2


def test_a_mixture_of_pairs_and_single_texts_is_refused(tokenizer):
    with pytest.raises(DataError, match="some examples have a second text"):
        encode("classification", examples(0) + examples(1, pair="x"), tokenizer)


def test_hidden_labels_neither_train_nor_score(tokenizer):
    given = examples(1, None, None)
    with pytest.raises(DataError, match=r"labels of 2 of 3 examples are hidden \(first: e1\)"):
        encode("classification", given, tokenizer)
    with pytest.raises(DataError, match="hidden"):
        KINDS.get("classification").score(ClassLogits(np.eye(3)[:, :2]), given, ["accuracy"])
    assert len(encode("classification", given, tokenizer, training=False)) == 3


def test_no_examples_give_no_features(tokenizer):
    assert encode("classification", [], tokenizer) == []


def test_regression_targets_are_floats_even_for_whole_scores(tokenizer):
    (feature,) = encode("regression", examples(3), tokenizer)
    assert isinstance(feature.targets["labels"], float)


def test_classification_loss_is_the_mean_negative_log_softmax():
    import torch

    logits, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2, 1, 1, 0])
    loss = KINDS.get("classification").loss(SimpleNamespace(logits=logits), {"labels": labels})
    expected = -logits.softmax(-1).log()[range(5), labels].mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_regression_loss_is_the_mean_squared_error():
    import torch

    outputs = SimpleNamespace(logits=torch.tensor([[1.0], [2.0]]))
    loss = KINDS.get("regression").loss(outputs, {"labels": torch.tensor([1.5, 4.0])})
    assert loss.item() == pytest.approx((0.25 + 4) / 2)


@pytest.mark.parametrize(("kind", "metric"), [("classification", "accuracy"), ("regression", "pearson")])
def test_predictions_come_in_the_order_of_the_examples(kind, metric, tokenizer):
    given = examples(0, 1, 1)
    features = encode(kind, given, tokenizer, training=False)
    outputs = [
        (np.eye(2, dtype=np.float32)[e.label] if kind == "classification" else np.array([e.label]),) for e in given
    ]
    shuffled = [2, 0, 1]
    predictions = KINDS.get(kind).predict([outputs[n] for n in shuffled], [features[n] for n in shuffled], given)
    assert KINDS.get(kind).score(predictions, given, [metric]) == {metric: pytest.approx(1.0)}
    assert (predictions.logits if kind == "classification" else predictions.values).dtype == np.float64


def test_a_metric_of_another_kind_is_refused():
    predictions = ClassLogits(np.eye(2))
    with pytest.raises(UnknownNameError, match="no classification metric named 'pearson'"):
        KINDS.get("classification").score(predictions, examples(0, 1), ["pearson"])


def test_f1_of_three_classes_is_refused_even_where_only_two_are_predicted():
    with pytest.raises(DataError, match="this task has 3"):
        KINDS.get("classification").score(ClassLogits(np.eye(3)), examples(0, 1, 1), ["f1"])
