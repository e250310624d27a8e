from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MobileBertConfig,
    MobileBertModel,
)

from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.measures.storage.parameters import Parameters, elements, embedding_parameters, nonzero, stored_parameters


def bert(hidden, layers, heads, ffn):
    return BertConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=ffn)


CONSTANTS = {
    "bert-base": (BertModel, BertConfig(), 109.48),
    "distilbert": (DistilBertModel, DistilBertConfig(), 66.36),
    "albert-base": (
        AlbertModel,
        AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072, embedding_size=128),
        11.68,
    ),
    "tinybert-4": (BertModel, bert(312, 4, 12, 1200), 14.35),
    "mobilebert": (MobileBertModel, MobileBertConfig(), 24.84),
    "minilm-l6-h384": (BertModel, bert(384, 6, 12, 1536), 22.71),
    "bert-tiny": (BertModel, bert(128, 2, 2, 512), 4.39),
    "bert-mini": (BertModel, bert(256, 4, 4, 1024), 11.17),
    "bert-small": (BertModel, bert(512, 4, 8, 2048), 28.76),
    "bert-medium": (BertModel, bert(512, 8, 8, 2048), 41.37),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_reference_models_have_their_known_number_of_parameters(name):
    architecture, config, millions = CONSTANTS[name]
    with torch.device("meta"):
        model = architecture(config)
    assert round(elements(stored_parameters(model)) / 1e6, 2) == millions


def bert_parameters(*, hidden, layers, ffn, vocabulary=30522, positions=512, segments=2):
    """Tables and their norm; four H x H maps, two FFN maps and two norms a layer; the pooler."""
    tables = (vocabulary + positions + segments) * hidden + 2 * hidden
    layer = 4 * (hidden**2 + hidden) + (2 * hidden * ffn + ffn + hidden) + 4 * hidden
    return tables + layers * layer + hidden**2 + hidden


@pytest.mark.parametrize("name", [name for name, (kind, _, _) in CONSTANTS.items() if kind is BertModel])
def test_a_bert_has_exactly_the_parameters_of_the_closed_form(name):
    _, config, _ = CONSTANTS[name]
    with torch.device("meta"):
        found = elements(stored_parameters(BertModel(config)))
    form = {"hidden": config.hidden_size, "layers": config.num_hidden_layers, "ffn": config.intermediate_size}
    assert found == bert_parameters(**form)


def test_elements_that_are_not_zero_are_counted_one_by_one(tiny_bert):
    model = tiny_bert(layers=1)
    with torch.no_grad():
        model.bert.encoder.layer[0].intermediate.dense.weight[:, ::3] = 0
    by_hand = sum(value != 0 for tensor in model.parameters() for value in tensor.flatten().tolist())
    assert nonzero(stored_parameters(model)) == by_hand < elements(stored_parameters(model))


def test_tied_weights_count_once_by_module_and_by_memory():
    config = BertConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = BertForMaskedLM(config)
    untied = sum(tensor.numel() for tensor in model.state_dict().values())
    table = model.bert.embeddings.word_embeddings.weight
    assert model.cls.predictions.decoder.weight is table
    once = elements(stored_parameters(model))
    assert once < untied
    model.cls.predictions.decoder.weight = nn.Parameter(table.data)  # another object on the same memory
    assert elements(stored_parameters(model)) == once
    model.cls.predictions.decoder.weight = nn.Parameter(table.data.clone())
    assert elements(stored_parameters(model)) == once + table.numel()


def test_a_shared_layer_counts_once(tiny_bert):
    model = tiny_bert(layers=4)
    one_layer = elements(stored_parameters(model.bert.encoder.layer[0]))
    before = elements(stored_parameters(model))
    model.bert.encoder.layer = nn.ModuleList([model.bert.encoder.layer[0]] * 4)
    assert elements(stored_parameters(model)) == before - 3 * one_layer


def test_packed_int8_weights_and_biases_count_and_their_scales_do_not():
    layer = Int8Linear.from_float(torch.tensor([[1.0, 0.0], [0.5, -1.0], [0.0, 0.0]]), torch.ones(3))
    assert elements(stored_parameters(layer)) == 3 * 2 + 3
    assert nonzero(stored_parameters(layer)) == 3 + 3


def test_a_factorized_layer_counts_its_two_thin_matrices():
    assert elements(stored_parameters(FactorizedLinear(10, 20, 3))) == 3 * (10 + 20) + 20


def test_embedding_tables_are_words_positions_and_segments(tiny_bert):
    assert elements(embedding_parameters(tiny_bert())) == (100 + 64 + 2) * 32


def test_the_measure_gives_every_column_for_both_models_and_sees_pruned_weights(tiny_bert):
    reference, artifact = tiny_bert(), tiny_bert()
    with torch.no_grad():
        artifact.bert.encoder.layer[0].intermediate.dense.weight.zero_()
    pair = SimpleNamespace(artifact=SimpleNamespace(model=artifact), reference=SimpleNamespace(model=reference))
    reading = Parameters().read(pair)
    assert set(reading.values) == set(reading.reference) == set(Parameters.columns)
    assert reading.values["params"] == reading.reference["params"] == sum(p.numel() for p in reference.parameters())
    assert reading.reference["params_nonzero"] - reading.values["params_nonzero"] == 32 * 64
