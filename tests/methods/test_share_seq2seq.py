"""Sharing inside and between the stacks of translation models: the checks of the rows W1, W2, W3, W6 and W7."""

from __future__ import annotations

import copy
import functools
import math

import pytest
import torch
from made_seq2seq import batch, logits, made_bert2bert, made_marian, parameters
from pydantic import ValidationError

from bench.artifacts.artifact import WEIGHTS, load, save
from bench.artifacts.manifest import Manifest
from bench.base.errors import MethodError
from bench.measures.computation.trace import trace
from bench.measures.storage.parameters import stored_parameters
from bench.methods.share.share import Share, share_map
from bench.models.adapter import adapter_for

BUILT = {"marian": made_marian, "bert2bert": made_bert2bert}
SMALL = {"marian": functools.partial(made_marian, encoder=2), "bert2bert": functools.partial(made_bert2bert, layers=2)}
TIED = {"map": "none", "tie_stacks": True, "embeddings": "joint", "budget": 0}


@pytest.fixture
def share(make_lab):
    lab = make_lab()
    return lambda model, **arguments: Share(**{"budget": 0, **arguments}).compress(model, lab)


@functools.cache
def macs_of_small(family):
    """Multiply-adds of an unshared model of two layers a stack."""
    return trace(SMALL[family](), batch()).macs


def step(model):
    """One step of training on the fixed batch, in place."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    inputs = batch()
    labels = inputs.pop("decoder_input_ids")
    model(**inputs, decoder_input_ids=labels[:, :-1]).logits.float().logsumexp(-1).mean().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def in_stack(model, stack, name):
    """The module called `name` in each layer of a stack."""
    return [layer.get_submodule(name) for layer in adapter_for(model).layers(model, stack)]


def first_names(model):
    """The first name of each module that holds tensors, by every name that it has."""
    names = {}
    every = [(name, module) for name, module in model.named_modules(remove_duplicate=False) if module._parameters]
    return {name: names.setdefault(id(module), name) for name, module in every}


def layer_size(model, stack="encoder"):
    return sum(parameter.numel() for parameter in adapter_for(model).layers(model, stack)[0].parameters())


def beside_layers(model):
    adapter = adapter_for(model)
    layers = [*adapter.layers(model, "encoder"), *adapter.layers(model, "decoder")]
    inside = {id(parameter) for layer in layers for parameter in layer.parameters()}
    return sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in inside)


# W1: encoder and decoder are one


@pytest.mark.parametrize("tie_cross", ["none", "self"])
def test_tied_stacks_are_the_same_tensors_after_training(share, tie_cross):
    tied = share(made_marian(), **TIED, tie_cross=tie_cross)
    step(tied)
    for name in ("self_attn.q_proj", "self_attn.out_proj", "fc1", "fc2", "self_attn_layer_norm", "final_layer_norm"):
        for ours, theirs in zip(in_stack(tied, "encoder", name), in_stack(tied, "decoder", name), strict=True):
            assert ours.weight is theirs.weight
            assert ours.weight.data_ptr() == theirs.weight.data_ptr()
    for own, cross in (("q_proj", "q_proj"), ("k_proj", "k_proj"), ("out_proj", "out_proj")):
        for layer in adapter_for(tied).layers(tied, "decoder"):
            same = layer.self_attn.get_submodule(own) is layer.encoder_attn.get_submodule(cross)
            assert same == (tie_cross == "self")
    first, last = in_stack(tied, "encoder", "fc1")[:: len(in_stack(tied, "encoder", "fc1")) - 1]
    assert first is not last
    tables = [tied.model.encoder.embed_tokens, tied.model.decoder.embed_tokens, tied.lm_head]
    assert len({id(table.weight) for table in tables}) == 1


def test_tied_stacks_store_one_stack_and_maximal_tying_nearly_halves_the_layers(share):
    model = made_marian()
    layers = {stack: 4 * layer_size(model, stack) for stack in ("encoder", "decoder")}
    cross = layers["decoder"] - layers["encoder"]
    norms = 4 * 2 * 32
    for tie_cross, kept in (("none", cross), ("self", norms)):
        tied = share(model, **TIED, tie_cross=tie_cross)
        assert sum(tensor.numel() for tensor in stored_parameters(tied)) == parameters(tied)
        assert parameters(tied) - beside_layers(tied) == layers["encoder"] + kept
    assert (layers["encoder"] + norms) / sum(layers.values()) == pytest.approx(0.41, abs=0.01)


@pytest.mark.parametrize("family", BUILT)
@pytest.mark.parametrize("arguments", [TIED, {**TIED, "tie_cross": "self"}, {"map": "all"}, {"tie_stacks": True}])
def test_sharing_leaves_the_multiply_adds_as_they_were(share, family, arguments):
    model = SMALL[family]()
    shared = share(model, **arguments)
    assert parameters(shared) < parameters(model)
    assert trace(shared, batch()).macs == macs_of_small(family)


# W2: both halves from one checkpoint


@pytest.fixture
def checkpoint():
    """Two halves with the tensors of one encoder, as they are made from a checkpoint."""
    model = made_bert2bert()
    theirs = model.encoder.state_dict()
    model.decoder.bert.load_state_dict({name: tensor.clone() for name, tensor in theirs.items()}, strict=False)
    return model


def test_bert_share_stores_one_stack_cross_attention_and_embeddings(share, checkpoint):
    shared = share(checkpoint, **TIED)
    half = sum(parameter.numel() for parameter in checkpoint.encoder.parameters())
    cross = sum(
        parameter.numel() for name, parameter in checkpoint.decoder.named_parameters() if "crossattention" in name
    )
    head = sum(
        parameter.numel()
        for name, parameter in checkpoint.decoder.cls.named_parameters()
        if not name.endswith("decoder.weight")
    )
    assert cross == 4 * (4 * (32 * 32 + 32) + 2 * 32)
    assert parameters(shared) == half + cross + head
    assert parameters(checkpoint) == 2 * half + cross + head


def test_bert_share_starts_as_the_checkpoint_but_for_cross_attention(share, checkpoint):
    given = {name: tensor.clone() for name, tensor in checkpoint.encoder.state_dict().items()}
    shared = share(checkpoint, **TIED)
    for half in (shared.encoder, shared.decoder.bert):
        state = half.state_dict()
        others = [name for name in state if name not in given]
        assert all("crossattention" in name for name in others)
        assert all(torch.equal(state[name], tensor) for name, tensor in given.items())
    assert others
    assert torch.equal(logits(shared), logits(checkpoint))


def test_bert_share_ties_self_attention_ffn_and_every_embedding(share, checkpoint):
    shared = share(checkpoint, **TIED)
    for name in ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.LayerNorm"):
        pairs = zip(in_stack(shared, "encoder", name), in_stack(shared, "decoder", name), strict=True)
        assert all(ours is theirs for ours, theirs in pairs)
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm"):
        assert shared.encoder.embeddings.get_submodule(name) is shared.decoder.bert.embeddings.get_submodule(name)
    assert shared.decoder.cls.predictions.decoder.weight is shared.encoder.embeddings.word_embeddings.weight


def test_the_size_of_bert_base_shared_is_the_published_136_million(make_lab):
    from transformers import BertConfig, EncoderDecoderConfig

    from bench.models.heads import from_config

    config = EncoderDecoderConfig.from_encoder_decoder_configs(BertConfig(), BertConfig())
    with torch.device("meta"):
        model = from_config(config, "translation")
    shared = Share(**TIED).compress(model, make_lab())
    assert parameters(shared) == pytest.approx(136e6, rel=0.02)


def test_a_start_from_the_source_asks_for_its_pretrained_weights(make_lab):
    model = made_bert2bert()
    lab = make_lab(model)
    asked = []

    def fresh(depth, pretrained):
        asked.append((depth, pretrained))
        return made_bert2bert(seed=7)

    object.__setattr__(lab, "fresh", fresh)
    shared = Share(**{**TIED, "init": "source"}).compress(model, lab)
    Share(**{**TIED, "init": "fresh"}).compress(model, lab)
    assert asked == [(4, True), (4, False)]
    assert torch.equal(
        shared.encoder.embeddings.LayerNorm.weight, made_bert2bert(seed=7).encoder.embeddings.LayerNorm.weight
    )


# W3: one layer, many times


def test_recurrent_stacking_has_the_parameters_of_one_layer_whatever_the_depth(share):
    sizes = {parameters(share(made_marian(encoder=depth))) for depth in (1, 2, 6)}
    assert sizes == {parameters(made_marian(encoder=1))}


@pytest.mark.parametrize("family", BUILT)
def test_recurrent_stacking_of_depth_one_is_the_model_itself(share, family):
    model = made_marian(encoder=1) if family == "marian" else made_bert2bert(layers=1)
    assert torch.equal(logits(share(model)), logits(model))


def test_the_multiply_adds_of_recurrent_stacking_are_linear_in_the_depth(share):
    counts = [trace(share(made_marian(encoder=depth)), batch()).macs for depth in (1, 2, 3, 6)]
    assert counts[1] - counts[0] == counts[2] - counts[1] > 0
    assert counts[3] == counts[0] + 5 * (counts[1] - counts[0])


def test_the_tied_limit_of_recurrent_stacking_is_one_layer_for_both_stacks(share):
    shared = share(made_marian(), tie_stacks=True)
    modules = in_stack(shared, "encoder", "fc1") + in_stack(shared, "decoder", "fc1")
    assert len({id(module) for module in modules}) == 1
    assert len({id(module) for module in in_stack(shared, "decoder", "encoder_attn.k_proj")}) == 1


# W6: the three maps, unique layers


@pytest.mark.parametrize("name", ["sequence", "cycle", "cycle-rev"])
@pytest.mark.parametrize("unique", [2, 3])
def test_both_stacks_store_as_many_layers_as_asked_where_the_map_says(share, name, unique):
    model = made_marian(encoder=6)
    shared = share(model, map=name, unique=unique)
    layers = unique * (layer_size(model) + layer_size(model, "decoder"))
    assert parameters(shared) == layers + beside_layers(model)
    order = share_map(name, depth=6, unique=unique)
    for stack, leaf in (("encoder", "fc1"), ("decoder", "fc1"), ("decoder", "encoder_attn.v_proj")):
        modules = in_stack(shared, stack, leaf)
        assert [modules.index(module) for module in modules] == [order.index(place) for place in order]


def test_a_copied_start_takes_the_layer_of_the_stored_layers_own_number(share):
    model = made_marian(encoder=6)
    weights = [layer.fc1.weight for layer in adapter_for(model).layers(model, "decoder")]
    first, copied = (share(model, map="sequence", unique=3, init=init) for init in ("first", "copy"))
    for shared, order in ((first, [0, 0, 2, 2, 4, 4]), (copied, [0, 0, 1, 1, 2, 2])):
        found = [module.weight for module in in_stack(shared, "decoder", "fc1")]
        assert all(torch.equal(weight, weights[index]) for weight, index in zip(found, order, strict=True))


# W7: the sandwich, its norms per layer


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_a_sandwich_shares_what_is_between_the_outer_layers_and_no_norm(share, stack):
    model = made_marian(encoder=5)
    shared = share(model, map="sandwich", parts="attention+cross_attention+ffn")
    names = ["self_attn.k_proj", "fc1", "fc2"] + (["encoder_attn.q_proj"] if stack == "decoder" else [])
    for name in names:
        modules = in_stack(shared, stack, name)
        assert modules[1] is modules[2] is modules[3]
        assert len({id(module) for module in modules}) == 3
    norms = ["self_attn_layer_norm", "final_layer_norm"] + (["encoder_attn_layer_norm"] if stack == "decoder" else [])
    for name in norms:
        assert len({id(module) for module in in_stack(shared, stack, name)}) == 5


def test_a_sandwich_needs_a_middle(share):
    with pytest.raises(MethodError, match="has only 2"):
        share(made_marian(encoder=2), map="sandwich")


# Decoding, storing, refusing


EVERY = {
    "tied": {**TIED, "tie_cross": "self"},
    "tied but for cross": TIED,
    "one layer": {},
    "one layer for both": {"tie_stacks": True},
    "cycle": {"map": "cycle", "unique": 2},
    "sandwich": {"map": "sandwich", "parts": "attention+cross_attention+ffn"},
    "decoder only": {"stacks": "decoder"},
}


@pytest.mark.parametrize("family", BUILT)
@pytest.mark.parametrize("name", EVERY)
def test_decoding_with_kept_keys_and_values_gives_what_it_gives_without(share, family, name):
    shared = share(BUILT[family](), **EVERY[name])
    assert not math.isnan(logits(shared).sum())
    options = {"max_new_tokens": 8, "num_beams": 1, "do_sample": False, "min_new_tokens": 8}
    inputs = {name: tensor for name, tensor in batch().items() if name != "decoder_input_ids"}
    kept, anew = (shared.generate(**inputs, use_cache=use, **options) for use in (True, False))
    assert torch.equal(kept, anew)
    assert kept.size(1) == 9


@pytest.mark.parametrize("family", BUILT)
@pytest.mark.parametrize("name", EVERY)
def test_what_is_shared_is_stored_once_and_still_shared_and_bit_equal_after_loading(
    share, family, name, tokenizer, tmp_path
):
    from safetensors import safe_open

    shared = share(BUILT[family](), **EVERY[name])
    save(shared, tmp_path / "artifact", tokenizer=tokenizer, made=Manifest(title=name))
    loaded = load(tmp_path / "artifact").model
    assert torch.equal(logits(loaded), logits(shared))
    assert parameters(loaded) == parameters(shared)
    assert first_names(loaded) == first_names(shared)
    assert len(set(first_names(loaded).values())) < len(first_names(loaded))
    with safe_open(tmp_path / "artifact" / WEIGHTS, "pt") as file:
        stored = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    buffers = {tensor.data_ptr(): tensor.numel() for tensor in shared.state_dict().values()}
    assert stored == sum(buffers.values())
    twice = copy.deepcopy(loaded)
    step(twice)
    assert parameters(twice) == parameters(shared)


def test_the_given_model_is_left_bit_equal(share):
    for build in BUILT.values():
        model = build()
        before, out = {name: tensor.clone() for name, tensor in model.state_dict().items()}, logits(model)
        share(model, **EVERY["tied"])
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
        assert torch.equal(logits(model), out)
        assert parameters(model) == sum({id(p): p.numel() for p in model.parameters()}.values())


def test_the_gradient_of_a_tied_weight_is_the_sum_over_both_stacks(share):
    tied = share(made_marian(), **TIED)
    untied = copy.deepcopy(tied)
    for layer in adapter_for(untied).layers(untied, "decoder"):
        for name in ("fc1", "self_attn.q_proj"):
            parent, _, leaf = name.rpartition(".")
            setattr(layer.get_submodule(parent), leaf, copy.deepcopy(layer.get_submodule(name)))
    for model in (tied, untied):
        model(**batch()).logits.square().mean().backward()
    for name in ("fc1", "self_attn.q_proj"):
        both = zip(in_stack(untied, "encoder", name), in_stack(untied, "decoder", name), strict=True)
        for (ours, theirs), shared in zip(both, in_stack(tied, "encoder", name), strict=True):
            assert ours.weight is not theirs.weight
            torch.testing.assert_close(shared.weight.grad, ours.weight.grad + theirs.weight.grad, rtol=1e-4, atol=1e-7)


def test_what_makes_no_sense_is_refused_with_what_was_found(share, make_lab, tiny_bert):
    with pytest.raises(MethodError, match=r"tied stacks need the same depth, found .*'encoder': 4, 'decoder': 2"):
        share(made_marian(encoder=4, decoder=2), **TIED)
    uneven = made_marian(encoder=4, decoder=2)
    with pytest.raises(MethodError, match=r"builds stacks of the same depth, .*'encoder': 4, 'decoder': 2"):
        Share(init="fresh", budget=0).compress(uneven, make_lab(uneven))
    with pytest.raises(MethodError, match="has no encoder and decoder to share; it has encoder"):
        share(tiny_bert(), map="none", tie_stacks=True)
    with pytest.raises(MethodError, match="has no decoder to share"):
        share(tiny_bert(), stacks="decoder")
    with pytest.raises(MethodError, match="has cross_attention"):
        share(tiny_bert(), parts="cross_attention")
    with pytest.raises(MethodError, match="places has 3 numbers, but the given model has 4 layers"):
        share(made_marian(), map="explicit", places="0+0+1")


def test_arguments_that_contradict_each_other_are_refused():
    for arguments, says in (
        ({"map": "explicit"}, "map 'explicit' needs places"),
        ({"map": "cycle", "places": (0, 1)}, "no other map has them"),
        ({"map": "explicit", "places": (0, 2)}, "without gaps"),
        ({"map": "sandwich", "unique": 3}, "determines the number of stored layers"),
        ({"tie_cross": "self", "parts": ("ffn",)}, "needs attention and cross_attention"),
        ({"tie_stacks": True, "stacks": ("decoder",)}, "leave stacks empty"),
    ):
        with pytest.raises(ValidationError, match=says):
            Share(**arguments)
