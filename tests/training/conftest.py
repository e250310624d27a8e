"""A keyword task as bare features: random tokens, label 1 where token 10 is among them."""

from __future__ import annotations

import random

import pytest

from bench.tasks.features import Feature


@pytest.fixture
def keyword_features():
    def build(count: int = 96, seed: int = 0, label=int):
        draws = random.Random(seed)
        features = []
        for index in range(count):
            tokens = [draws.randrange(11, 60) for _ in range(draws.randrange(4, 12))]
            if index % 2:
                tokens[draws.randrange(len(tokens))] = 10
            ids = [2, *tokens, 3]
            inputs = {"input_ids": ids, "attention_mask": [1] * len(ids)}
            features.append(Feature(inputs=inputs, targets={"labels": label(index % 2)}, example=index))
        return features

    return build
