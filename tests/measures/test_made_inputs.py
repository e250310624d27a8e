from __future__ import annotations

import pytest
import torch
from architectures import TRANSLATORS, make_model

from bench.base.errors import ModelError
from bench.measures.base.inputs import made_inputs


def test_inputs_have_the_asked_shape_no_padding_and_no_special_token(tiny_bert, tokenizer):
    inputs = made_inputs(tiny_bert(), tokenizer, batch_size=3, length=64, device="cpu", seed=0)
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (3, 64)
    assert inputs["input_ids"].dtype == torch.int64
    assert bool(inputs["attention_mask"].all())
    found = set(inputs["input_ids"].flatten().tolist())
    assert found <= set(range(5, len(tokenizer)))
    assert len(found) > 10


def test_the_seed_decides_the_inputs_and_the_global_random_state_is_left_alone(tiny_bert, tokenizer):
    state = torch.random.get_rng_state()
    first, second, other = (
        made_inputs(tiny_bert(), tokenizer, batch_size=2, length=8, device="cpu", seed=seed)["input_ids"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_bare_vocabulary_size_is_bounded_by_the_embedding_table(tiny_bert):
    ids = made_inputs(tiny_bert(), 10_000, batch_size=8, length=64, device="cpu", seed=0)["input_ids"]
    assert 90 < int(ids.max()) < 100
    tiny_bert()(input_ids=ids)


def test_a_length_beyond_the_models_positions_is_refused_with_both_numbers(tiny_bert, tokenizer):
    with pytest.raises(ModelError, match=r"65 tokens.*at most 64.*Lower measuring\.length"):
        made_inputs(tiny_bert(), tokenizer, batch_size=1, length=65, device="cpu", seed=0)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_gets_a_target_of_the_stated_length_and_the_source_of_an_encoder(name):
    model = make_model(name)
    inputs = made_inputs(model, 40, batch_size=2, length=7, target_length=3, device="cpu", seed=0)
    assert {key: tuple(value.shape) for key, value in inputs.items()} == {
        "input_ids": (2, 7),
        "attention_mask": (2, 7),
        "decoder_input_ids": (2, 3),
    }
    alike = made_inputs(model, 40, batch_size=2, length=7, device="cpu", seed=0)
    assert torch.equal(alike["input_ids"], inputs["input_ids"])
    assert alike["decoder_input_ids"].shape == (2, 7)
    model(**inputs)


def test_a_language_model_gets_ids_alone(tokenizer):
    model = make_model("bench-lstm-lm")
    inputs = made_inputs(model, tokenizer, batch_size=2, length=100, device="cpu", seed=0)
    assert {key: tuple(value.shape) for key, value in inputs.items()} == {"input_ids": (2, 100)}


@pytest.mark.parametrize("name", ["marian", "encoder-decoder"])
def test_a_target_beyond_the_decoders_positions_is_refused(name):
    with pytest.raises(ModelError, match=r"41 tokens.*at most 40"):
        made_inputs(make_model(name), 40, batch_size=1, length=7, target_length=41, device="cpu", seed=0)
