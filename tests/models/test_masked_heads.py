"""The head of masked language modelling: tied to the table, fresh where a checkpoint has none, refused elsewhere."""

from __future__ import annotations

import pytest
import torch
from architectures import make_model
from families import ENCODERS, make, same_outputs, same_state, state

from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.measures.computation.trace import trace
from bench.models.adapter import adapter_for
from bench.models.tokenizer import write_tokenizer

HEAD = "masked-language-modelling"


@pytest.fixture
def checkpoint(tmp_path, tokenizer):
    def write(model, name="model"):
        model.save_pretrained(tmp_path / name)
        write_tokenizer(tokenizer, tmp_path / name)
        return open_source(str(tmp_path / name))

    return write


def build(source, tokenizer, *, seed=0, **options):
    return source.build(head=HEAD, labels=None, tokenizer=tokenizer, seed=seed, **options)


def tied(model):
    return model.get_output_embeddings().weight is adapter_for(model).word_embedding(model).weight


@pytest.mark.parametrize("family", ENCODERS)
def test_a_checkpoint_with_this_head_keeps_it(family, checkpoint, tokenizer):
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_config(make(family, HEAD).config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    source = checkpoint(model)
    assert source.stores_head(HEAD)
    assert not source.stores_head("question-answering")
    built = build(source, tokenizer)
    assert tied(built)
    assert same_outputs(built, model)
    again = build(checkpoint(built, "again"), tokenizer)
    assert same_outputs(again, model)
    assert sum(name.endswith("bias") and tensor.numel() == 40 for name, tensor in built.state_dict().items()) == 1


@pytest.mark.parametrize("family", ENCODERS)
def test_a_checkpoint_without_it_gets_a_fresh_one_on_its_own_table(family, checkpoint, tokenizer):
    model = make(family)
    source = checkpoint(model)
    assert not source.stores_head(HEAD)
    assert source.stores_head("sequence-classification")
    one, two, other = (build(source, tokenizer, seed=seed) for seed in (7, 7, 8))
    assert same_state(one, state(two))
    assert not same_state(one, state(other))
    assert tied(one)
    assert torch.equal(adapter_for(one).word_embedding(one).weight, adapter_for(model).word_embedding(model).weight)
    encoder, its = (dict(getattr(each, each.base_model_prefix).named_parameters()) for each in (one, model))
    assert {name.split(".")[0] for name in its.keys() - encoder.keys()} <= {"pooler"}
    assert all(torch.equal(parameter, its[name]) for name, parameter in encoder.items())
    assert tied(build(source, tokenizer, depth=2))
    assert tied(build(source, tokenizer, pretrained=False))


@pytest.mark.parametrize("name", ["demo-lstm", "demo-bilstm", "demo-transformer"])
def test_a_built_in_model_that_is_no_masked_encoder_is_refused(name):
    source = open_source(name)
    with pytest.raises(ModelError, match=r"has no masked-language-modelling head; choose another model for this task"):
        build(source, source.tokenizer(lambda: ["a good film", "a bad film"]))


@pytest.mark.parametrize("name", ["bench-lstm-lm", "marian"])
def test_so_is_a_checkpoint_of_one(name, checkpoint, tokenizer):
    source = checkpoint(make_model(name))
    with pytest.raises(ModelError, match=f"architecture '{name}' has no masked-language-modelling head"):
        build(source, tokenizer)


def test_every_token_costs_the_map_to_the_vocabulary_and_the_maps_before_it():
    length, width, words = 9, 32, 40
    ids = torch.arange(5, 5 + length).unsqueeze(0)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    layers = 4 * (length * (4 * width**2 + 2 * width * 64) + 2 * length**2 * width)
    assert trace(make("bert", HEAD), inputs).macs == layers + length * (width**2 + width * words)
    narrow = 16  # ELECTRA's head goes through its narrow embedding, which is widened before the first layer
    head = length * (width * narrow + narrow * words)
    assert trace(make("electra", HEAD), inputs).macs == layers + length * narrow * width + head
