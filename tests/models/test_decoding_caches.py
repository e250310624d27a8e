"""Writing text step by step with a cache gives what reading it whole gives, whatever the decoder shares."""

from __future__ import annotations

import pytest
import torch
from architectures import TRANSLATORS, inputs_of, make_model

from bench.models.adapter import adapter_for
from bench.models.encoder_decoder import numbered_layers

TARGET = torch.tensor([[2, 14, 15, 16, 17, 18], [2, 9, 30, 31, 32, 33]])


def sources(name):
    return {key: value for key, value in inputs_of(name).items() if not key.startswith("decoder")}


def whole(model, name):
    """The logits of the target read at once."""
    with torch.no_grad():
        return model(**sources(name), decoder_input_ids=TARGET).logits


def step_by_step(model, name):
    """The same, one token a call, everything before it from the cache."""
    given = sources(name)
    cache, steps = None, []
    with torch.no_grad():
        encoded = model.get_encoder()(**given, return_dict=True)
        for column in TARGET.unbind(1):
            outputs = model(
                attention_mask=given["attention_mask"],
                encoder_outputs=encoded,
                decoder_input_ids=column[:, None],
                past_key_values=cache,
                use_cache=True,
            )
            cache = outputs.past_key_values
            steps.append(outputs.logits)
    assert cache is not None
    return torch.cat(steps, dim=1)


def with_decoder(name, order):
    model = make_model(name)
    adapter = adapter_for(model)
    layers = adapter.layers(model, "decoder")
    adapter.set_layers(model, [layers[index] for index in order], "decoder")
    return model


@pytest.mark.parametrize("order", [[0, 1], [0, 0, 0], [0, 1, 0, 1], [1]])
@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_cache_changes_nothing_however_the_decoders_layers_are_shared(name, order):
    model = with_decoder(name, order)
    with numbered_layers(model):
        found = step_by_step(model, name)
    torch.testing.assert_close(found, whole(model, name), rtol=1e-4, atol=1e-4)


def test_without_numbers_a_shared_layer_reads_the_slot_of_its_other_runs():
    model = with_decoder("marian", [0, 0, 0])
    assert not torch.allclose(step_by_step(model, "marian"), whole(model, "marian"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", TRANSLATORS)
def test_transformers_own_decoding_runs_with_and_without_a_cache_alike(name, beams):
    model = make_model(name)
    options = {"max_new_tokens": 6, "do_sample": False, "num_beams": beams}
    with numbered_layers(model):
        cached, plain = (model.generate(**sources(name), **options, use_cache=use) for use in (True, False))
    assert torch.equal(cached, plain)
    assert cached[:, 0].tolist() == [2, 2]
    assert cached.size(1) > 1


def test_the_states_of_beams_follow_their_rows():
    from bench.models.recurrent.seq2seq import DecoderStates

    states = DecoderStates(torch.arange(12.0).view(3, 1, 2, 2))
    states.reorder_cache(torch.tensor([2, 0, 0]))
    assert states.tensor[:, 0, 0, 0].tolist() == [8.0, 0.0, 0.0]


def test_no_hook_is_left_behind():
    model = make_model("marian")
    with numbered_layers(model):
        pass
    assert not any(module._forward_pre_hooks for module in model.modules())
