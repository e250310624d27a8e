"""The biLSTM whose last states are classified: against torch's own LSTM, alone and for pairs, and its size."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.artifacts import artifact
from bench.measures.base.inputs import made_inputs
from bench.measures.computation.trace import trace
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for
from bench.models.heads import config_of, from_config
from bench.models.roles import GATE_ROLES

CLOSE = {"rtol": 0, "atol": 1e-5}
VOCABULARY, EMBEDDING, WIDTH, HEAD, LABELS, SEPARATOR = 40, 12, 8, 10, 3, 3
FIRST, SECOND = [2, 5, 6, 7, SEPARATOR], [8, 9, SEPARATOR]


def made(*, seed=0, **settings):
    sizes = {
        "vocab_size": VOCABULARY,
        "embedding_size": EMBEDDING,
        "hidden_size": WIDTH,
        "head_size": HEAD,
        "num_labels": LABELS,
        "separator_id": SEPARATOR,
        "pad_token_id": 0,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = from_config(config_of("bench-state-bilstm", sizes | settings), "sequence-classification").eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, 0, 0.3)
    return model


def count(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def states_by_torch(model, ids) -> torch.Tensor:
    """The last states of both directions by torch's bidirectional LSTM, [2 width]."""
    layers = adapter_for(model).layers(model)
    torchs = nn.LSTM(EMBEDDING, WIDTH, len(layers), batch_first=True, bidirectional=True)
    with torch.no_grad():
        for index, layer in enumerate(layers):
            for direction, suffix in ((layer.ahead, ""), (layer.back, "_reverse")):
                getattr(torchs, f"weight_ih_l{index}{suffix}").copy_(direction.input_gates.weight)
                getattr(torchs, f"weight_hh_l{index}{suffix}").copy_(direction.hidden_gates.weight)
                getattr(torchs, f"bias_ih_l{index}{suffix}").copy_(direction.input_gates.bias)
                getattr(torchs, f"bias_hh_l{index}{suffix}").zero_()
        _, (hidden, _) = torchs(model.model.embed_tokens(torch.tensor([ids])))
    return hidden[-2:, 0].flatten()


def head(model, states) -> torch.Tensor:
    return model.classifier(functional.relu(model.compare(states))).detach()


def padded(*rows):
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("layers", [1, 2])
def test_one_text_is_classified_by_the_last_states_of_torchs_bilstm(layers):
    model = made(num_hidden_layers=layers)
    with torch.no_grad():
        logits = model(**padded(FIRST, SECOND, [2, 9, 9, 9, 9, 9, 9])).logits
        alone = model(input_ids=torch.tensor([FIRST])).logits
    torch.testing.assert_close(logits[0], head(model, states_by_torch(model, FIRST)), **CLOSE)
    torch.testing.assert_close(logits[1], head(model, states_by_torch(model, SECOND)), **CLOSE)
    torch.testing.assert_close(alone[0], logits[0], **CLOSE)


def pair_features(model, first, second):
    one, two = states_by_torch(model, first), states_by_torch(model, second)
    return torch.cat([one, two, (one - two).abs(), one * two])


@pytest.mark.parametrize("told_by", ["segments", "separator", "both"])
def test_the_texts_of_a_pair_are_read_apart_and_compared(told_by):
    model = made(pairs=True, separator_id=None if told_by == "segments" else SEPARATOR)
    inputs = padded([*FIRST, *SECOND], [*SECOND, *SECOND], [*FIRST, *FIRST, 9, 9])
    if told_by != "separator":
        inputs["token_type_ids"] = torch.tensor(
            [[0] * 5 + [1] * 3 + [0] * 4, [0] * 3 + [1] * 3 + [0] * 6, [0] * 5 + [1] * 7]
        )
    with torch.no_grad():
        logits = model(**inputs).logits
    torch.testing.assert_close(logits[0], head(model, pair_features(model, FIRST, SECOND)), **CLOSE)
    torch.testing.assert_close(logits[1], head(model, pair_features(model, SECOND, SECOND)), **CLOSE)
    torch.testing.assert_close(logits[2], head(model, pair_features(model, FIRST, [*FIRST, 9, 9])), **CLOSE)


def test_a_missing_second_text_has_states_of_zero():
    model = made(pairs=True)
    one = states_by_torch(model, FIRST)
    with torch.no_grad():
        logits = model(**padded(FIRST)).logits
    wanted = torch.cat([one, torch.zeros_like(one), one.abs(), torch.zeros_like(one)])
    torch.testing.assert_close(logits[0], head(model, wanted), **CLOSE)


def size(*, embedding, width, fc, states) -> int:
    """Embedding, four gates in two directions with one bias each, the layer before the logits, and these."""
    gates = 2 * (4 * width * (embedding + width) + 4 * width)
    return VOCABULARY * embedding + gates + states * width * fc + fc + fc * LABELS + LABELS


@pytest.mark.parametrize(("pairs", "states"), [(False, 2), (True, 8)])
def test_its_parameters_are_those_of_the_formula(pairs, states):
    assert count(made(pairs=pairs)) == size(embedding=EMBEDDING, width=WIDTH, fc=HEAD, states=states)


def test_at_the_papers_size_all_but_the_embedding_has_under_a_million_parameters():
    with torch.device("meta"):
        config = config_of("bench-state-bilstm", {"vocab_size": 30522})
        model = from_config(config, "sequence-classification")
    assert count(model) - 30522 * 300 == 2 * (600 * 450 + 600) + 300 * 200 + 200 + 200 * 2 + 2


@pytest.mark.parametrize("pairs", [False, True])
def test_every_operator_is_counted_and_the_sum_is_the_closed_form(pairs):
    model = made(pairs=pairs, separator_id=None)
    inputs = made_inputs(model, VOCABULARY, batch_size=1, length=11, device="cpu", seed=0)
    steps = 11
    if pairs:
        inputs["token_type_ids"] = torch.tensor([[0] * 4 + [1] * 7])  # the texts together are as long as one would be
    found = trace(model, inputs)
    assert (found.coverage, found.uncounted) == (1.0, {})
    states = 8 * WIDTH if pairs else 2 * WIDTH
    assert found.macs == 2 * steps * 4 * WIDTH * (EMBEDDING + WIDTH) + states * HEAD + HEAD * LABELS


@pytest.mark.parametrize("pairs", [False, True])
def test_it_survives_saving_dense_and_in_int8(pairs, tmp_path, tokenizer):
    model, inputs = made(pairs=pairs), padded([*FIRST, *SECOND], FIRST)
    for name, each in (("dense", model), ("int8", Quantize(targets=GATE_ROLES).compress(model, None))):
        artifact.save(each, tmp_path / name, tokenizer=tokenizer)
        loaded = artifact.load(tmp_path / name).model
        with torch.no_grad():
            assert torch.equal(loaded(**inputs).logits, each(**inputs).logits)
    assert not torch.equal(loaded(**inputs).logits, model(**inputs).logits)


def test_a_gradient_reaches_every_parameter():
    model = made(pairs=True).train()
    model(**padded([*FIRST, *SECOND], [*SECOND, *FIRST])).logits.logsumexp(-1).sum().backward()
    assert [name for name, tensor in model.named_parameters() if tensor.grad is None] == []


def test_its_gates_are_found_in_both_directions():
    model = made()
    adapter = adapter_for(model)
    assert adapter.roles_of(model) == ("input_gates", "hidden_gates")
    assert [tuple(linear.weight.shape) for linear in adapter.linears(model, ["input_gates"]).values()] == [
        (4 * WIDTH, EMBEDDING)
    ] * 2
    assert adapter.depth(model) == 1
    assert adapter.word_embedding(model) is model.model.embed_tokens
