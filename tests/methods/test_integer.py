"""I-BERT as a method: tiny encoders in integers, what they share, how they are stored, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from bench.artifacts import artifact
from bench.base.errors import MethodError
from bench.layers.integer.layer import IntegerLayer, IntegerStack
from bench.layers.sharing import tied_tensors
from bench.measures.computation.trace import trace
from bench.measures.storage.theory import theoretical_bytes
from bench.methods.base.listening import alike
from bench.methods.exit.halt import Halt
from bench.methods.quantize.integer import Integer, activation_ranges
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of


@pytest.fixture
def model(tiny_bert):
    """A BERT whose weights are as large as those of a trained one, so that its layers do more than pass states on."""
    made = tiny_bert()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for parameter in made.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, 0.15)
    return made


@pytest.fixture
def integer(model, make_lab):
    return Integer().compress(model, make_lab(model))


def tokens(rows=24, length=11):
    return torch.randint(5, 100, (rows, length), generator=torch.Generator().manual_seed(0))


def stacked(model):
    return model.get_submodule(adapter_for(model).stack_name(model))


@torch.inference_mode()
def states_of(model, ids, mask=None):
    return model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state


def test_states_and_most_predictions_are_those_of_the_float_model(model, integer):
    real, found = states_of(model, tokens()), states_of(integer, tokens())
    assert (found - real).norm() / real.norm() < 0.06
    with torch.inference_mode():
        same = model(tokens()).logits.argmax(1) == integer(tokens()).logits.argmax(1)
    assert same.float().mean() >= 0.85


def test_only_the_layers_are_integers(model, integer):
    assert isinstance(stacked(integer), IntegerStack)
    assert [type(layer) for layer in adapter_for(integer).layers(integer)] == [IntegerLayer] * 4
    for name in ("bert.embeddings", "bert.pooler", "classifier"):
        before, after = model.get_submodule(name).state_dict(), integer.get_submodule(name).state_dict()
        assert all(torch.equal(tensor, after[key]) for key, tensor in before.items())


def test_an_example_is_the_same_to_the_bit_alone_and_in_a_padded_batch(integer):
    ids = tokens(rows=3)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    together = states_of(integer, ids, mask)
    assert torch.equal(states_of(integer, ids, mask), together)
    assert torch.equal(states_of(integer, ids[1:2, :6]), together[1:2, :6])


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_every_attention_implementation_gives_the_same_integers(model, make_lab, attention):
    ids, mask = tokens(rows=3), torch.ones(3, 11).long()
    mask[1, 6:] = 0
    expected = states_of(Integer().compress(model, make_lab(model)), ids, mask)
    model.set_attn_implementation(attention)
    integer = Integer().compress(model, make_lab(model))
    torch.testing.assert_close(states_of(integer, ids, mask)[mask > 0], expected[mask > 0], rtol=0, atol=0.1)


def _saved(model, folder, tokenizer):
    artifact.save(model, folder, tokenizer=tokenizer)
    return artifact.load(folder).model


def test_a_saved_model_gives_the_same_outputs_to_the_bit(integer, tmp_path, tokenizer, logits_of):
    loaded = _saved(integer, tmp_path / "whole", tokenizer)
    assert torch.equal(logits_of(loaded), logits_of(integer))
    assert torch.equal(states_of(loaded, tokens()), states_of(integer, tokens()))
    assert stacked(loaded).last_scale == stacked(integer).last_scale
    weights = (tmp_path / "whole" / "model.safetensors").stat().st_size
    assert theoretical_bytes(integer) < weights < theoretical_bytes(integer) + 20_000


def test_shared_layers_stay_one_and_have_one_scale_where_they_meet(model, make_lab, tmp_path, tokenizer):
    adapter = adapter_for(model)
    first, second, *_ = adapter.layers(model)
    adapter.set_layers(model, [first, second, first, second])
    integer = Integer().compress(model, make_lab(model))
    layers = adapter.layers(integer)
    assert layers[0] is layers[2]
    assert layers[1] is layers[3]
    assert layers[0] is not layers[1]
    # What the second layer gives is what the first takes: one scale before the first and after the last layer.
    assert stacked(integer).first_scale == stacked(integer).last_scale
    real, found = states_of(model, tokens()), states_of(integer, tokens())
    assert (found - real).norm() / real.norm() < 0.06
    loaded = _saved(integer, tmp_path / "shared", tokenizer)
    assert adapter.layers(loaded)[0] is adapter.layers(loaded)[2]
    assert torch.equal(states_of(loaded, tokens()), found)


def test_a_matrix_that_two_layers_share_is_rounded_and_stored_once(model, make_lab, tmp_path, tokenizer):
    layers = adapter_for(model).layers(model)
    layers[1].intermediate.dense = layers[0].intermediate.dense
    integer = Integer().compress(model, make_lab(model))
    stack = adapter_for(model).stack_name(model)
    assert tied_tensors(integer) == {f"{stack}.1.ffn_in.weight": f"{stack}.0.ffn_in.weight"}
    loaded = _saved(integer, tmp_path / "tied", tokenizer)
    assert torch.equal(states_of(loaded, tokens()), states_of(integer, tokens()))


def test_multiply_adds_stay_and_those_of_the_layers_are_counted_with_8_bits(model, integer):
    inputs = {"input_ids": tokens(rows=1), "attention_mask": torch.ones(1, 11).long()}
    before, after = trace(model, inputs), trace(integer, inputs)
    assert (after.macs, after.coverage, after.uncounted) == (before.macs, 1.0, {})
    inside = after.by_module(4)["bert.encoder"]
    assert inside == stacked(integer).macs(1, 11) == before.by_module(4)["bert.encoder"]
    assert after.bops == inside * 64 + (before.macs - inside) * 32 * 32


def test_other_post_norm_encoders_run_in_integers_too(make_lab):
    config = DistilBertConfig(vocab_size=100, dim=32, n_layers=2, n_heads=4, hidden_dim=64, activation="relu")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DistilBertForSequenceClassification(config).eval()
    integer = Integer().compress(model, make_lab(model))
    real, found = states_of(model, tokens()), states_of(integer, tokens())
    assert 0 < (found - real).norm() / real.norm() < 0.03


def test_ranges_are_moving_averages_of_the_largest_magnitudes_of_batches(model, make_lab):
    lab, query = make_lab(model), adapter_for(model).layers(model)[0].attention.self.query
    found = activation_ranges(model, [query], lab, examples=32)
    expected = {}
    batches = alike(lab, examples=32)
    assert len(batches) > 2
    for batch in batches:
        seen = {}
        with torch.no_grad():
            states = model.bert.embeddings(input_ids=batch.inputs["input_ids"])
            seen["input"], seen["output"] = float(states.abs().max()), float(query(states).abs().max())
        for side, size in seen.items():
            expected[query, side] = 0.95 * expected[query, side] + 0.05 * size if (query, side) in expected else size
    assert found == pytest.approx(expected, rel=1e-5)
    assert not query._forward_hooks
    assert not query._forward_pre_hooks


def test_more_examples_move_the_ranges(model, make_lab):
    few, many = (Integer(examples=count).compress(model, make_lab(model)) for count in (2, 32))
    assert stacked(few).first_scale != stacked(many).first_scale


def test_other_layers_are_refused(model, make_lab):
    lab = make_lab(model)
    with pytest.raises(MethodError, match="Only dense float layers"):
        Integer().compress(Quantize().compress(model, lab), lab)
    with pytest.raises(MethodError, match="already run in another stored form"):
        Integer().compress(Integer().compress(model, lab), lab)
    with pytest.raises(MethodError, match="already run in another stored form"):
        Integer().compress(Halt(budget=0).compress(model, lab), lab)
    with_norm = copy.deepcopy(model)
    with_norm.bert.encoder.layer[2].output.LayerNorm = nn.Identity()
    with pytest.raises(MethodError, match=r"layer\.2 is not an encoder layer of six matrices and two norms"):
        Integer().compress(with_norm, lab)


def test_other_activations_and_no_examples_are_refused(model, make_lab):
    config = BertConfig(**{**model.config.to_dict(), "hidden_act": "silu"})
    with pytest.raises(MethodError, match="only GELU and ReLU have an integer form"):
        Integer().compress(BertForSequenceClassification(config).eval(), make_lab(model))
    lab = make_lab(model)
    object.__setattr__(lab, "features", ())
    with pytest.raises(MethodError, match="no training examples"):
        Integer().compress(model, lab)


def test_the_recipe_is_this_method_and_says_what_it_lacks():
    recipe = load_recipe("i-bert")
    assert methods_of(recipe) == [Integer(budget=1.0)]
    assert recipe.file.status == "mechanism"
    assert "stay in float" in recipe.file.missing
