"""A directory that transformers alone loads: with equal outputs, or refused with the module that it cannot hold."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from families import make, outputs, same_state, state
from safetensors.torch import load_file
from torch import nn

from bench.artifacts.artifact import load, save
from bench.artifacts.to_transformers import to_transformers
from bench.base.errors import ArtifactError, ModelError
from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.layers.tokens import TopTokenStack
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module
from bench.models.tokenizer import read_tokenizer

AUTO = {
    "sequence-classification": transformers.AutoModelForSequenceClassification,
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "masked-language-modelling": transformers.AutoModelForMaskedLM,
}


def read(directory, head="sequence-classification"):
    """As anyone would without bench."""
    return AUTO[head].from_pretrained(directory).eval()


def equal(one, other, *, atol=0.0):
    pairs = list(zip(outputs(one), outputs(other), strict=True))
    return bool(pairs) and all(torch.allclose(left, right, rtol=0, atol=atol) for left, right in pairs)


def narrowed(model, widths):
    """Feed-forward maps of these widths, by layer."""
    for layer, width in zip(adapter_for(model).layers(model), widths, strict=True):
        for place, sizes in (("intermediate.dense", (32, width)), ("output.dense", (width, 32))):
            parent, leaf = layer.get_submodule(place.split(".")[0]), place.split(".")[1]
            fresh = nn.Linear(*sizes)
            with torch.no_grad():
                fresh.weight.normal_(0, 0.2)
            setattr(parent, leaf, fresh)
    return model


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "albert", "electra"])
def test_stock_models_are_read_back_bit_for_bit_with_fewer_layers_too(family, tokenizer, tmp_path):
    model = make(family)
    adapter = adapter_for(model)
    adapter.set_layers(model, adapter.layers(model)[:2])
    before = state(model)
    done = to_transformers(model, tmp_path / "out", tokenizer=tokenizer)
    assert same_state(model, before)
    assert done.difference == 0.0
    assert equal(read(tmp_path / "out"), model)
    assert read(tmp_path / "out").config.num_hidden_layers == 2
    assert (tmp_path / "out" / "README.md").read_text(encoding="utf-8").count("\n") == 1


def test_an_artifact_becomes_what_transformers_loads(tokenizer, tmp_path):
    save(make("bert"), tmp_path / "artifact", tokenizer=tokenizer)
    loaded = load(tmp_path / "artifact")
    to_transformers(loaded.model, tmp_path / "out", tokenizer=loaded.tokenizer, labels=("a", "b", "c"))
    found = read(tmp_path / "out")
    assert equal(found, loaded.model)
    assert found.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert found.config.label2id == {"a": 0, "b": 1, "c": 2}
    text = "a good film"
    assert read_tokenizer(tmp_path / "out")(text)["input_ids"] == tokenizer(text)["input_ids"]
    names = load_file(tmp_path / "out" / "model.safetensors").keys()
    assert names == transformers.BertForSequenceClassification(found.config).state_dict().keys()


@pytest.mark.parametrize("head", ["question-answering", "masked-language-modelling"])
def test_other_heads_and_tied_embeddings(head, tokenizer, tmp_path):
    model = make("bert", head, labels=2)
    to_transformers(model, tmp_path / "out", tokenizer=tokenizer)
    assert equal(read(tmp_path / "out", head), model)


def test_feed_forward_maps_of_one_other_width_are_the_configurations(tokenizer, tmp_path):
    model = narrowed(make("bert"), [48] * 4)
    to_transformers(model, tmp_path / "out", tokenizer=tokenizer)
    settings = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert settings["intermediate_size"] == 48
    assert model.config.intermediate_size == 64  # what was given is as it was
    assert equal(read(tmp_path / "out"), model)


def test_widths_that_differ_are_refused_by_module(tokenizer, tmp_path):
    with pytest.raises(ArtifactError, match=r"module 'bert\.encoder\.layer\.1\.intermediate\.dense'.*one width"):
        to_transformers(narrowed(make("bert"), [64, 48, 64, 64]), tmp_path / "out", tokenizer=tokenizer)
    assert not (tmp_path / "out").exists()


def factorized(rank=4):
    """BERT with one product of two matrices."""
    model = make("bert")
    layer = FactorizedLinear(32, 64, rank)
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.normal_(0, 0.2)
    replace_module(model, "bert.encoder.layer.2.intermediate.dense", layer)
    return model


def test_products_are_multiplied_out_only_if_asked(tokenizer, tmp_path):
    model = factorized()
    with pytest.raises(ArtifactError, match=r"layer\.2\.intermediate\.dense'.*Give --dense to multiply it out"):
        to_transformers(model, tmp_path / "out", tokenizer=tokenizer)
    done = to_transformers(model, tmp_path / "out", tokenizer=tokenizer, dense=True)
    assert 0 <= done.difference < 1e-4
    assert equal(read(tmp_path / "out"), model, atol=1e-4)
    assert done.parameters == sum(each.numel() for each in make("bert").parameters())


def test_layers_that_the_architecture_does_not_share_are_repeated_only_if_asked(tokenizer, tmp_path):
    model = make("bert")
    adapter_for(model).set_layers(model, adapter_for(model).layers(model)[:1] * 3)
    with pytest.raises(ArtifactError, match=r"'bert\.encoder\.layer\.1' is the same module as .*layer\.0'.*--dense"):
        to_transformers(model, tmp_path / "out", tokenizer=tokenizer)
    to_transformers(model, tmp_path / "out", tokenizer=tokenizer, dense=True)
    assert equal(read(tmp_path / "out"), model)


def test_narrow_weights_and_stacks_of_another_form_are_refused_whatever_is_asked(tokenizer, tmp_path):
    model = make("bert")
    pooler = model.bert.pooler.dense
    replace_module(model, "bert.pooler.dense", Int8Linear.from_float(pooler.weight.detach(), pooler.bias.detach()))
    with pytest.raises(ArtifactError, match=r"bert\.pooler\.dense'.*no equal form there"):
        to_transformers(model, tmp_path / "out", tokenizer=tokenizer, dense=True)
    model = make("bert")
    adapter = adapter_for(model)
    stack = TopTokenStack(*adapter.attention_places, [0.5] * 4).adopt(adapter.layers(model))
    replace_module(model, "bert.encoder.layer", stack)
    with pytest.raises(ArtifactError, match=r"bert\.encoder\.layer'.*'top-token-stack'"):
        to_transformers(model, tmp_path / "out", tokenizer=tokenizer, dense=True)


def test_what_is_read_back_is_compared(tokenizer, tmp_path, monkeypatch):
    """Another model in the directory is an error, and the directory is not left behind."""
    from bench.artifacts import to_transformers as module

    true = module._write

    def other(model, directory, given):
        true(make("bert", seed=1), directory, given)

    monkeypatch.setattr(module, "_write", other)
    with pytest.raises(ArtifactError, match="reads it back with other outputs"):
        to_transformers(make("bert"), tmp_path / "out", tokenizer=tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_wrong_labels_own_architectures_and_taken_directories_are_refused(tokenizer, tmp_path):
    with pytest.raises(ModelError, match="found 2 names, but the model has 3 outputs"):
        to_transformers(make("bert"), tmp_path / "out", tokenizer=tokenizer, labels=("a", "b"))
    with pytest.raises(ModelError, match="an architecture or head of bench"):
        to_transformers(make("bert", "embedding"), tmp_path / "out", tokenizer=tokenizer)
    with pytest.raises(ArtifactError, match="already exists"):
        to_transformers(make("bert"), tmp_path, tokenizer=tokenizer)
