from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.tasks.batching import collate, length_batches
from bench.tasks.features import Feature, by_example

LENGTHS = st.lists(st.integers(1, 64), max_size=300)


def feature(*ids, label=0, **more):
    return Feature(
        inputs={"input_ids": list(ids), "attention_mask": [1] * len(ids), **more}, targets={"labels": label}, example=0
    )


@given(LENGTHS, st.integers(1, 500), st.none() | st.integers(0, 9))
def test_a_token_budget_covers_every_row_once_and_is_exceeded_by_single_rows_only(lengths, budget, seed):
    batches = length_batches(lengths, budget_tokens=budget, seed=seed)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget


@given(LENGTHS, st.integers(1, 40), st.none() | st.integers(0, 9))
def test_a_batch_size_covers_every_row_once_in_full_batches_but_one(lengths, size, seed):
    batches = length_batches(lengths, batch_size=size, seed=seed)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert sorted(map(len, batches))[1:] == [size] * max(0, len(batches) - 1)


def test_without_a_seed_the_longest_come_first():
    lengths = [3, 9, 5, 9, 1]
    assert length_batches(lengths, budget_tokens=18) == [[1, 3], [2, 0, 4]]


def test_seeds_decide_the_batches_and_length_sorting_keeps_padding_low():
    lengths = [1 + (row * 37) % 64 for row in range(3200)]
    first, again, other = (length_batches(lengths, batch_size=32, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in other}
    longest = [max(lengths[row] for row in batch) for batch in first]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)
    padded = sum(len(batch) * top for batch, top in zip(first, longest, strict=True))
    assert padded < 1.05 * sum(lengths)


def test_one_of_budget_and_size_must_be_given():
    with pytest.raises(ValueError, match="either"):
        length_batches([1], budget_tokens=1, batch_size=1)
    with pytest.raises(ValueError, match="either"):
        length_batches([1])


def test_collate_pads_on_the_right_with_the_pad_token_and_zeros():
    short, long = feature(5, 6, token_type_ids=[0, 1]), feature(7, 8, 9, token_type_ids=[0, 0, 1], label=1)
    batch = collate([short, long], pad_id=3)
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 3], [7, 8, 9]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch.inputs["token_type_ids"].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert batch.targets["labels"].tolist() == [0, 1]
    assert batch.rows == [0, 1]


def test_collate_of_rows_is_collate_of_those_features():
    features = [feature(1), feature(2, 2), feature(3, 3, 3)]
    picked, whole = collate(features, pad_id=0, rows=[2, 0]), collate([features[2], features[0]], pad_id=0)
    assert picked.inputs["input_ids"].tolist() == whole.inputs["input_ids"].tolist()
    assert picked.rows == [2, 0]


def test_whole_targets_are_int64_and_scores_float32():
    import torch

    assert collate([feature(1, label=2)], pad_id=0).targets["labels"].dtype == torch.int64
    assert collate([feature(1, label=2.0)], pad_id=0).targets["labels"].dtype == torch.float32


def test_outputs_stand_at_the_places_of_their_examples_one_feature_to_each():
    features = [Feature(inputs={"input_ids": [1]}, targets={}, example=row) for row in (2, 0, 1)]
    assert by_example([("c", 0), ("a", 0), ("b", 0)], features) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="2 features do not belong to as many examples, one to each"):
        by_example([("a",), ("b",)], features[:2])
