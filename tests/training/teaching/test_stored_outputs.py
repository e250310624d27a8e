"""A teacher's outputs on all training examples, kept in a file."""

from __future__ import annotations

import copy

import pytest
import torch

from bench.base.errors import MethodError
from bench.layers.exit_rules import ConfidenceRule
from bench.models.exits import grow_exits
from bench.tasks.batching import collate
from bench.tasks.features import Feature
from bench.tasks.kinds.kind import KINDS
from bench.training.teaching import stored
from bench.training.teaching.stored import recall
from bench.training.terms.teacher import Teacher

KIND = KINDS.get("classification")


def told(teacher, features, rows, kind=KIND):
    batch = collate(features, pad_id=0, rows=rows)._replace(rows=list(rows))
    return teacher.outputs(batch, kind)


def remembered(model, features, folder, kind=KIND):
    teacher = Teacher(model)
    read = recall(teacher, features, kind, pad_id=0, device="cpu", folder=folder)
    return teacher, read


def test_the_second_teacher_reads_what_the_first_one_left_bit_for_bit(tiny_bert, keyword_features, tmp_path):
    features = keyword_features()
    first, read = remembered(tiny_bert(seed=1), features, tmp_path)
    assert not read
    silent = tiny_bert(seed=1)
    silent.forward = lambda **inputs: pytest.fail("it was run")
    second, read = remembered(silent, features, tmp_path)
    assert read
    rows = [5, 0, 17]
    assert torch.equal(told(first, features, rows)[0], told(second, features, rows)[0])
    expected = tiny_bert(seed=1)(**collate(features, pad_id=0, rows=rows).inputs).logits
    torch.testing.assert_close(told(second, features, rows)[0], expected.detach())


def test_without_a_folder_they_are_the_same_and_kept_in_memory_only(tiny_bert, keyword_features, tmp_path):
    features = keyword_features()
    kept, _ = remembered(tiny_bert(seed=1), features, tmp_path)
    loose, read = remembered(tiny_bert(seed=1), features, None)
    assert not read
    assert torch.equal(told(kept, features, range(9))[0], told(loose, features, range(9))[0])


def test_the_file_takes_four_bytes_per_logit(tiny_bert, keyword_features, tmp_path):
    remembered(tiny_bert(seed=1), keyword_features(96), tmp_path)
    (path,) = tmp_path.iterdir()
    assert 96 * 2 * 4 <= path.stat().st_size < 96 * 2 * 4 + 96 * 8 + 512  # and eight for the size of each row


def test_another_teacher_or_other_examples_have_another_file(tiny_bert, keyword_features, tmp_path):
    features, model = keyword_features(), tiny_bert(seed=1)
    remembered(model, features, tmp_path)
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.classifier.bias[0] += 1e-3
    assert not remembered(changed, features, tmp_path)[1]
    other = [
        *features[:-1],
        Feature(inputs={"input_ids": [9], "attention_mask": [1]}, targets={"labels": 1}, example=95),
    ]
    assert not remembered(model, other, tmp_path)[1]
    labels = [Feature(inputs=each.inputs, targets={"labels": 0}, example=each.example) for each in features]
    assert remembered(model, labels, tmp_path)[1]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_teacher_that_differs_in_an_argument_alone_has_another_file(tiny_bert, keyword_features, tmp_path):
    features, model = keyword_features(), tiny_bert(seed=1)
    exits = grow_exits(model, shared=True, seed=0)
    for threshold in (0.3, 0.6):
        exits.rule = ConfidenceRule(threshold)
        assert not remembered(model, features, tmp_path)[1]


def test_outputs_over_tokens_and_single_numbers_come_back_in_their_shapes(tiny_bert, tmp_path):
    features = [
        Feature(
            inputs={"input_ids": [2, *range(10, 10 + length), 3], "attention_mask": [1] * (length + 2)},
            targets={},
            example=length,
        )
        for length in (3, 6, 1)
    ]
    for kind, model in (
        (KINDS.get("span_qa"), tiny_bert(head="question-answering")),
        (KINDS.get("regression"), tiny_bert(1)),
    ):
        first, _ = remembered(model, features, tmp_path, kind)
        second, read = remembered(model, features, tmp_path, kind)
        assert read
        for mine, its in zip(told(first, features, [1, 2], kind), told(second, features, [1, 2], kind), strict=True):
            assert torch.equal(mine, its)


def test_a_teacher_that_trains_is_refused(tiny_bert, keyword_features, tmp_path):
    with pytest.raises(MethodError, match="they change with every step"):
        recall(Teacher(tiny_bert(), moving=True), keyword_features(), KIND, pad_id=0, device="cpu", folder=tmp_path)


def test_more_than_the_bound_is_refused_and_nothing_is_written(tiny_bert, keyword_features, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "LARGEST_BYTES", 96 * 2 * 4 - 1)
    with pytest.raises(MethodError, match="take more than 0 MiB"):
        remembered(tiny_bert(), keyword_features(96), tmp_path)
    assert not list(tmp_path.iterdir())


def test_distributions_over_a_vocabulary_are_refused(keyword_features, tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
    )
    kind = KINDS.get("masked_language_modelling")
    with pytest.raises(MethodError, match="distributions over a vocabulary"):
        remembered(BertForMaskedLM(config).eval(), keyword_features(8), tmp_path, kind)
