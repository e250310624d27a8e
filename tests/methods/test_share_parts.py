"""Sharing parts of an encoder's layers, sharing before and after other methods, and how it is stored and counted."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from families import FAMILIES, make, outputs, same_outputs

from bench.artifacts.artifact import load, save
from bench.artifacts.manifest import Manifest
from bench.base.errors import MethodError
from bench.measures.computation.trace import trace
from bench.measures.storage.parameters import elements, stored_parameters
from bench.measures.storage.theory import theoretical_bytes
from bench.methods.factorize.factorize import Factorize
from bench.methods.prune.prune import Prune
from bench.methods.quantize.quantize import Quantize
from bench.methods.share.share import Share
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of

ATTENTION, FFN, NORMS = 4 * (32 * 32 + 32), 2 * 32 * 64 + 32 + 64, 2 * 2 * 32
INPUTS = {"input_ids": torch.full((1, 8), 7), "attention_mask": torch.ones(1, 8, dtype=torch.int64)}


@pytest.fixture
def share(make_lab):
    lab = make_lab()
    return lambda model, **arguments: Share(**{"budget": 0, **arguments}).compress(model, lab)


def unshared(family):
    """A model each of whose layers has weights of its own."""
    return make(family, num_hidden_groups=4) if family == "albert" else make(family)


@functools.cache
def macs_of_unshared(family):
    return trace(unshared(family), INPUTS).macs


def parameters(model):
    return elements(stored_parameters(model))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("parts", "saved"), [("attention", ATTENTION), ("ffn", FFN), ("attention+ffn", ATTENTION + FFN), ("norms", NORMS)]
)
def test_a_shared_part_is_stored_once_and_the_others_for_each_layer(share, family, parts, saved):
    model = unshared(family)
    shared = share(model, parts=parts)
    if family == "modernbert":  # no biases, three matrices in an MLP; the first layer has one norm, without a bias
        saved = {"attention": 4 * 32 * 32, "ffn": 3 * 32 * 64, "attention+ffn": 4 * 32 * 32 + 3 * 32 * 64}.get(parts)
    wanted = 3 * saved if saved is not None else 3 * 32 + 2 * 32
    assert parameters(model) - parameters(shared) == wanted
    assert adapter_for(shared).depth(shared) == 4
    assert trace(shared, INPUTS).macs == macs_of_unshared(family)


def test_all_parts_together_are_a_whole_layer(share):
    parts, whole = share(make("bert"), parts="attention+ffn+norms"), share(make("bert"))
    assert parameters(parts) == parameters(whole)
    assert same_outputs(parts, whole)


def test_one_group_of_an_albert_is_taken_apart_where_only_a_part_is_shared(share):
    albert = make("albert")
    before = outputs(albert)
    shared = share(albert, parts="attention")
    assert all(torch.equal(left, right) for left, right in zip(outputs(shared), before, strict=True))
    layers = adapter_for(shared).layers(shared)
    assert len({id(layer) for layer in layers}) == 4
    assert len({id(layer.albert_layers[0].attention.query) for layer in layers}) == 1


def test_a_sandwich_keeps_the_outer_layers_and_every_norm_apart(share):
    shared = share(make("bert", num_hidden_layers=6), map="sandwich", parts="attention+ffn")
    layers = adapter_for(shared).layers(shared)
    assert id(layers[1].intermediate.dense) == id(layers[4].intermediate.dense)
    assert id(layers[1].intermediate.dense) not in (id(layers[0].intermediate.dense), id(layers[5].intermediate.dense))
    assert len({id(layer.output.LayerNorm) for layer in layers}) == 6


def test_an_explicit_map_is_followed(share):
    shared = share(make("bert"), map="explicit", places="0+1+1+0")
    layers = adapter_for(shared).layers(shared)
    assert layers[0] is layers[3] is not layers[1] is layers[2]


def test_the_mean_of_a_part_is_over_the_layers_that_share_it(share):
    model = make("bert")
    weights = [layer.output.dense.weight for layer in adapter_for(model).layers(model)]
    shared = share(model, map="cycle", unique=2, parts="ffn", init="mean")
    found = [layer.output.dense.weight for layer in adapter_for(shared).layers(shared)]
    torch.testing.assert_close(found[1], (weights[1] + weights[3]) / 2)
    assert found[1] is found[3]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("arguments", [{"parts": "attention"}, {"map": "sandwich", "parts": "attention+ffn"}])
def test_shared_parts_are_stored_once_and_shared_after_loading(share, family, arguments, tokenizer, tmp_path):
    shared = share(make(family), **arguments)
    save(shared, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title=family))
    loaded = load(tmp_path / "artifact").model
    assert same_outputs(loaded, shared)
    assert parameters(loaded) == parameters(shared)
    queries = [list(adapter_for(model).linears(model, ["attention_output", "ffn_in"])) for model in (loaded, shared)]
    assert queries[0] == queries[1]


def test_keys_of_albert_sharing_state_parts_only_if_they_are_shared():
    (whole,) = methods_of(load_recipe("albert-sharing"))
    assert whole.stated() == {}
    (varied,) = methods_of(load_recipe("albert-sharing", {"parts": "ffn"}))
    assert varied.stated() == {"parts": ["ffn"]}
    assert methods_of(load_recipe("albert-sharing", {"parts": "attention"}))[0].parts == ("attention",)


# W5


def test_albert_base_has_the_published_size_and_bert_shared_the_rest_of_its_layers(make_lab):
    from transformers import AlbertConfig, AlbertModel, BertConfig, BertForSequenceClassification

    with torch.device("meta"):
        albert = AlbertModel(
            AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072, num_hidden_layers=12)
        )
        bert = BertForSequenceClassification(BertConfig())
    assert parameters(albert) == pytest.approx(11.68e6, rel=1e-3)
    shared = Share(budget=0).compress(bert, make_lab())
    layer = sum(parameter.numel() for parameter in adapter_for(bert).layers(bert)[0].parameters())
    assert parameters(bert) - parameters(shared) == 11 * layer


def test_albert_executes_no_less_than_bert_by_the_projection_of_its_embeddings():
    albert, bert = make("albert"), make("bert")
    more = trace(albert, INPUTS).macs - trace(bert, INPUTS).macs
    assert more == 8 * 16 * 32


# Composition


@pytest.mark.parametrize(
    "arguments", [{}, {"map": "cycle", "unique": 2}, {"map": "sandwich", "parts": "attention+ffn"}]
)
def test_factorizing_after_sharing_factorizes_each_stored_matrix_once(share, make_lab, arguments, tokenizer, tmp_path):
    shared = share(make("bert"), **arguments)
    product = Factorize(rank=4, budget=0).compress(shared, make_lab())
    stored = len(adapter_for(shared).linears(shared))
    assert len(adapter_for(product).linears(product)) == stored < 24
    sizes = [(module.weight.shape) for module in adapter_for(shared).linears(shared).values()]
    saved = sum(out * width - 4 * (out + width) for out, width in sizes)
    assert parameters(shared) - parameters(product) == saved > 0
    save(product, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="both"))
    loaded = load(tmp_path / "artifact").model
    assert same_outputs(loaded, product)
    assert parameters(loaded) == parameters(product)


@pytest.mark.parametrize("arguments", [{}, {"map": "sandwich", "parts": "attention+ffn"}])
def test_quantizing_after_sharing_stores_each_matrix_once_in_a_byte_a_weight(
    share, make_lab, arguments, tokenizer, tmp_path
):
    shared = share(make("bert"), **arguments)
    packed = Quantize().compress(shared, make_lab())
    assert parameters(packed) == parameters(shared)
    matrices = adapter_for(shared).linears(shared).values()
    saved = sum(3 * module.weight.numel() - 4 * module.out_features for module in matrices)  # less a scale a channel
    assert theoretical_bytes(shared) - theoretical_bytes(packed) == saved
    save(packed, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title="both"))
    loaded = load(tmp_path / "artifact").model
    assert same_outputs(loaded, packed)
    assert theoretical_bytes(loaded) == theoretical_bytes(packed)


def test_sharing_after_factorizing_shares_the_factors(share, make_lab):
    product = Factorize(rank=4, budget=0).compress(make("bert"), make_lab())
    shared = share(product, init="mean")
    assert len(adapter_for(shared).linears(shared)) == 6
    order = Factorize(rank=4, budget=0).compress(share(make("bert")), make_lab())
    assert parameters(shared) == parameters(order)


def test_sharing_after_quantizing_shares_the_packed_layers_and_has_no_mean(share, make_lab):
    packed = Quantize().compress(make("bert"), make_lab())
    shared = share(packed, parts="ffn")
    assert len(adapter_for(shared).linears(shared, ["ffn_in"])) == 1
    with pytest.raises(MethodError, match="Share before quantizing"):
        share(packed, parts="ffn", init="mean")


def test_pruning_after_sharing_zeroes_the_stored_weights(share, make_lab):
    shared = share(make("bert"))
    pruned = Prune(sparsity=0.5, budget=0).compress(shared, make_lab())
    zeros = sum(int((module.weight == 0).sum()) for module in adapter_for(pruned).linears(pruned).values())
    total = sum(module.weight.numel() for module in adapter_for(pruned).linears(pruned).values())
    assert zeros == pytest.approx(total / 2, abs=1)
    assert len(adapter_for(pruned).linears(pruned)) == 6


@pytest.mark.parametrize("init", ["fresh", "source"])
def test_starting_over_after_another_stage_is_refused(make_lab, init):
    lab = make_lab()
    for stage in (Factorize(rank=4, budget=0), Share(budget=0)):
        earlier = stage.compress(lab.reference, lab)
        with pytest.raises(MethodError, match="earlier stages would have no effect"):
            Share(init=init, budget=0).compress(earlier, lab)
    assert Share(init=init, budget=0).compress(lab.reference, lab) is not lab.reference


def test_sharing_layers_of_unlike_widths_is_refused(share):
    model = copy.deepcopy(make("bert"))
    layer = adapter_for(model).layers(model)[2]
    layer.intermediate.dense, layer.output.dense = torch.nn.Linear(32, 48), torch.nn.Linear(48, 32)
    with pytest.raises(
        MethodError, match=r"encoder ffn intermediate\.dense 0 would replace modules of different widths"
    ):
        share(model, parts="ffn")
