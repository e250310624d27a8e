"""LSTM layers against torch's own, and that padding and where a window begins change nothing."""

from __future__ import annotations

import pytest
import torch
from architectures import make_model
from torch import nn

from bench.layers.factorized import FactorizedLinear
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module
from bench.models.recurrent.layer import BiLstmLayer, LstmLayer

CLOSE = {"rtol": 0, "atol": 1e-5}


def pair(inputs=5, width=7):
    """Our layer, and torch's with the same weights."""
    torch.manual_seed(0)
    layer, torchs = LstmLayer(inputs, width), nn.LSTM(inputs, width, batch_first=True)
    with torch.no_grad():
        torchs.weight_ih_l0.copy_(layer.input_gates.weight)
        torchs.weight_hh_l0.copy_(layer.hidden_gates.weight)
        torchs.bias_ih_l0.copy_(layer.input_gates.bias)
        torchs.bias_hh_l0.zero_()
    return layer, torchs


def stepping(layer):
    """The same layer, made to step through time by somebody who listens to a gate."""
    layer.hidden_gates.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize("form", [lambda layer: layer, stepping])
@pytest.mark.parametrize("lengths", [None, [6, 2, 4]])
def test_a_layer_is_torchs_lstm(form, lengths):
    layer, torchs = pair()
    inputs, state = torch.randn(3, 6, 5), torch.randn(3, 2, 7)
    lengths = None if lengths is None else torch.tensor(lengths)
    outputs, end = form(layer)(inputs, state, lengths)
    for row in range(3):
        real = 6 if lengths is None else int(lengths[row])
        wanted, (hidden, cell) = torchs(inputs[row, :real], (state[row, 0][None], state[row, 1][None]))
        torch.testing.assert_close(outputs[row, :real], wanted, **CLOSE)
        torch.testing.assert_close(end[row], torch.stack([hidden[0], cell[0]]), **CLOSE)
        assert bool((outputs[row, real:] == 0).all())


def test_gradients_are_torchs():
    layer, torchs = pair()
    inputs = torch.randn(3, 6, 5)
    layer(inputs)[0].square().sum().backward()
    torchs(inputs)[0].square().sum().backward()
    torch.testing.assert_close(layer.input_gates.weight.grad, torchs.weight_ih_l0.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.hidden_gates.weight.grad, torchs.weight_hh_l0.grad, rtol=1e-4, atol=1e-5)


def test_factorized_gates_of_full_rank_give_the_dense_outputs():
    layer, _ = pair(inputs=6, width=6)
    inputs = torch.randn(2, 9, 6)
    dense, end = layer(inputs)
    for gate in ("input_gates", "hidden_gates"):
        linear = getattr(layer, gate)
        left, values, right = torch.linalg.svd(linear.weight, full_matrices=False)
        replace_module(layer, gate, FactorizedLinear.from_factors(right, left * values, linear.bias))
    outputs, last = layer(inputs)
    torch.testing.assert_close(outputs, dense, **CLOSE)
    torch.testing.assert_close(last, end, **CLOSE)


def test_whoever_listens_to_a_gate_hears_what_it_is_given_at_every_step():
    layer, _ = pair()
    heard = []
    layer.hidden_gates.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    outputs, _ = layer(torch.randn(3, 6, 5))
    assert len(heard) == 6
    assert bool((heard[0] == 0).all())
    torch.testing.assert_close(torch.stack(heard[1:], dim=1), outputs[:, :-1], **CLOSE)


def test_the_backward_direction_is_the_forward_one_of_the_reversed_row():
    torch.manual_seed(0)
    layer = BiLstmLayer(4)
    inputs = torch.randn(1, 5, 8)
    back, _ = layer.back(inputs[:, :, 4:].flip(1))
    assert torch.equal(layer(inputs)[:, :, 4:], back.flip(1))


@pytest.mark.parametrize("name", ["bench-bilstm", "bench-lstm-seq2seq"])
def test_padding_does_not_change_the_outputs(name):
    model = make_model(name)
    ids = torch.tensor([[5, 6, 7, 8, 3]])
    target = {} if name == "bench-bilstm" else {"decoder_input_ids": torch.tensor([[2, 9, 10]])}

    def logits(padding, others):
        padded = torch.cat([ids, torch.zeros(1, padding, dtype=torch.long)], dim=1)
        rows = torch.cat([padded, torch.randint(4, 40, (others, padded.size(1)))])
        mask = torch.ones_like(rows)
        mask[0, 5:] = 0
        more = {key: value.expand(1 + others, -1) for key, value in target.items()}
        with torch.no_grad():
            return model(input_ids=rows, attention_mask=mask, **more).logits[0]

    with torch.no_grad():
        alone = model(input_ids=ids, **target).logits[0]
    for padding, others in [(0, 0), (4, 0), (4, 3)]:
        torch.testing.assert_close(logits(padding, others), alone, **CLOSE)
    assert not torch.allclose(logits(0, 0), logits(0, 0).flip(0).roll(1), **CLOSE)


def test_a_language_model_goes_on_where_the_window_before_ended():
    model = make_model("bench-lstm-lm")
    ids = torch.randint(4, 40, (2, 10))
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        first = model(input_ids=ids[:, :6])
        second = model(input_ids=ids[:, 6:], states=first.states)
        fresh = model(input_ids=ids[:, 6:])
    torch.testing.assert_close(torch.cat([first.logits, second.logits], dim=1), whole, **CLOSE)
    assert not torch.allclose(fresh.logits, second.logits, **CLOSE)


@pytest.mark.parametrize("name", ["bench-lstm-lm", "bench-lstm-seq2seq", "marian", "encoder-decoder"])
def test_no_logit_depends_on_a_later_token(name):
    model = make_model(name)
    key = "input_ids" if name == "bench-lstm-lm" else "decoder_input_ids"
    source = {} if name == "bench-lstm-lm" else {"input_ids": torch.tensor([[5, 6, 7]])}
    ids = torch.tensor([[2, 9, 10, 11]])
    changed = torch.tensor([[2, 9, 12, 13]])
    with torch.no_grad():
        one, other = (model(**source, **{key: each}).logits for each in (ids, changed))
    torch.testing.assert_close(one[:, :2], other[:, :2], **CLOSE)
    assert not torch.allclose(one[:, 2], other[:, 2], **CLOSE)


def test_a_tied_softmax_is_the_embedding_table_and_an_untied_one_is_not():
    for tied in (True, False):
        model = make_model("bench-lstm-lm", tie_word_embeddings=tied)
        assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied


def test_fresh_gates_are_uniform_as_torchs_and_forget_nothing_at_first():
    from bench.models.heads import config_of, from_config

    torch.manual_seed(0)
    model = from_config(config_of("bench-lstm-lm", {"vocab_size": 40, "hidden_size": 64}), "causal-language-modelling")
    for layer in adapter_for(model).layers(model):
        for gates in (layer.input_gates.weight, layer.hidden_gates.weight):
            assert 0.12 < gates.detach().abs().max().item() <= 64**-0.5
        assert torch.equal(layer.input_gates.bias.detach().view(4, 64).mean(dim=1), torch.tensor([0.0, 1.0, 0.0, 0.0]))


def test_the_mix_weighs_all_layers_equally_at_first_and_begins_anew_when_the_depth_changes():
    model = make_model("bench-bilstm")
    adapter = adapter_for(model)
    with torch.no_grad():
        model.model.mix.weights.copy_(torch.tensor([0.0, 50.0, 0.0]))
        model.model.mix.gamma.fill_(2.0)
        hidden = list(torch.randn(3, 1, 2, 4))
        torch.testing.assert_close(model.model.mix(hidden), 2 * hidden[1])
    adapter.set_layers(model, adapter.layers(model)[::-1])
    assert model.model.mix.gamma.item() == 2.0
    adapter.set_layers(model, adapter.layers(model)[:1])
    assert model.model.mix.weights.tolist() == [0.0, 0.0]
    torch.testing.assert_close(model.model.mix(hidden[:2]), (hidden[0] + hidden[1]) / 2)
