"""Shrinking: the outputs of the masked model, from what is left of it, on every architecture with attention."""

from __future__ import annotations

import pytest
import torch
from made_masks import (
    ENCODERS,
    EVERY,
    FFN,
    HEAD,
    HEADS,
    TRANSLATORS,
    WIDTH,
    distance,
    made,
    masked,
    matrices,
    one_example,
    outputs,
    parameters,
    present,
    saved_macs,
    saved_parameters,
)

from bench.artifacts import artifact
from bench.base.errors import MethodError
from bench.layers.empty import EmptyAttention, EmptyLinear
from bench.measures.computation.trace import trace
from bench.measures.storage.size import read_container
from bench.methods.quantize.quantize import Quantize
from bench.methods.shrink.removable import removable
from bench.methods.shrink.shrink import Shrink
from bench.models.adapter import adapter_for
from bench.models.encoder_decoder import numbered_layers
from bench.models.modules import copy_model

CLOSE = 1e-5


@pytest.fixture
def shrink(make_lab):
    """A function that shrinks a model and keeps what was said."""

    def run(model, **arguments):
        lab = make_lab(model)
        object.__setattr__(lab, "progress", lambda text, share: said.append(text))
        return Shrink(**arguments).compress(model, lab)

    said = run.said = []
    return run


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("name", EVERY)
def test_outputs_are_those_of_the_masked_model(name, backend, shrink):
    whole = made(name)
    model = masked(made(name))
    for one in (whole, model):
        one.set_attn_implementation(backend)
    small = shrink(model)
    assert distance(small, model, name) < CLOSE
    assert distance(whole, model, name) > 100 * CLOSE
    empty = {type(module) for module in small.modules()} & {EmptyAttention, EmptyLinear}
    assert empty == (set() if name == "albert" else {EmptyAttention, EmptyLinear})


@pytest.mark.parametrize("name", EVERY)
def test_parameters_and_macs_fall_by_what_the_shapes_say(name, shrink):
    model = masked(made(name))
    small = shrink(model)
    assert parameters(model) - parameters(small) == saved_parameters(model) > 0
    before, after = (trace(one, one_example(name)) for one in (model, small))
    assert before.macs - after.macs == saved_macs(model, name) > 0
    assert before.uncounted == after.uncounted == {}
    assert after.macs_effective() == after.macs


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["albert", "distilbert", "marian"])
def test_a_model_without_any_head_or_neuron_keeps_its_biases_and_counts_no_layer(
    name, backend, shrink, tokenizer, tmp_path
):
    every = {
        (layer, part): range(FFN if part == "ffn" else HEADS)
        for layer in range(4)
        for part in ("attention", "cross_attention", "ffn")
    }
    model = masked(made(name), every)
    model.set_attn_implementation(backend)
    small = shrink(model)
    assert distance(small, model, name) < CLOSE
    assert removable(small, adapter_for(small)) == []
    assert not adapter_for(small).linears(small)
    ledger = trace(small, one_example(name))
    assert ledger.uncounted == {}
    assert not any("layer" in path for path in ledger.by_module(9))
    artifact.save(small, tmp_path / "small", tokenizer=tokenizer)
    assert distance(artifact.load(tmp_path / "small").model, small, name) == 0


@pytest.mark.parametrize("name", EVERY)
def test_a_shrunk_model_is_saved_and_loaded_bit_for_bit_in_the_bytes_of_its_tensors(name, shrink, tokenizer, tmp_path):
    model = masked(made(name))
    small = shrink(model)
    for one, folder in ((model, "masked"), (small, "small")):
        artifact.save(one, tmp_path / folder, tokenizer=tokenizer)
    again = artifact.load(tmp_path / "small").model
    assert all(torch.equal(*pair) for pair in zip(outputs(again, name), outputs(small, name), strict=True))
    assert artifact.size_bytes(tmp_path / "small") < artifact.size_bytes(tmp_path / "masked")
    tensors = {tensor.data_ptr(): tensor.numel() for tensor in small.state_dict().values()}
    assert read_container(tmp_path / "small").bytes_by_dtype == {"F32": 4 * sum(tensors.values())}


@pytest.mark.parametrize("name", EVERY)
def test_the_given_model_stays_and_a_second_shrink_finds_nothing(name, shrink):
    model = masked(made(name))
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    small = shrink(model)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    again = shrink(small)
    assert "nothing (no unit is fully masked)" in shrink.said[-1]
    assert [tensor.shape for tensor in again.state_dict().values()] == [
        tensor.shape for tensor in small.state_dict().values()
    ]


def test_what_was_removed_is_said(shrink):
    shrink(masked(made("bert")))
    assert shrink.said == ["removed 6 heads, 109 neurons, 1 attentions, 1 mlps"]


@pytest.mark.parametrize("name", EVERY)
def test_the_findings_name_every_masked_unit_and_no_other(name):
    model = masked(made(name))
    found = {(each.stack, each.layer, each.part): each for each in removable(model, adapter_for(model))}
    assert {key: len(each.dead) for key, each in found.items() if each.dead} == present(model)
    assert {each.units for key, each in found.items()} == {HEADS, FFN}
    assert not any(each.dead for each in removable(made(name), adapter_for(model)))


@pytest.mark.parametrize("name", TRANSLATORS)
@pytest.mark.parametrize("first", [0, 1])
def test_decoding_with_a_cache_gives_what_reading_the_whole_gives(name, first, shrink):
    dead = {(first, "attention"): range(HEADS), (first, "cross_attention"): range(HEADS), (1, "attention"): (0,)}
    model = masked(made(name), dead)
    small = shrink(model)
    inputs = {"input_ids": torch.arange(5, 12)[None].repeat(2, 1)}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    target = torch.tensor([[2, 14, 15, 16, 17], [2, 9, 30, 31, 32]])
    with torch.no_grad(), numbered_layers(small):
        whole = small(**inputs, decoder_input_ids=target).logits
        cache, steps = None, []
        for column in target.unbind(1):
            step = small(**inputs, decoder_input_ids=column[:, None], past_key_values=cache, use_cache=True)
            cache = step.past_key_values
            steps.append(step.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-4, atol=1e-4)
    options = {"max_new_tokens": 6, "do_sample": False}
    for beams in (1, 3):
        written = [one.generate(**inputs, **options, num_beams=beams, use_cache=True) for one in (model, small)]
        assert torch.equal(*written)


@pytest.mark.parametrize("kept", ["bias", "weight"])
def test_a_head_whose_values_have_weights_or_a_bias_left_stays(kept, shrink):
    model = made("bert")
    value = matrices(model)["encoder", 0, "value"]
    with torch.no_grad():
        value.bias[:HEAD] = 0
        value.weight[:HEAD] = 0
        getattr(value, kept)[HEAD - 1] = 1e-30
    assert parameters(shrink(model)) == parameters(model)


def test_zero_queries_and_keys_remove_nothing_for_they_average_the_values(shrink):
    model = made("bert")
    with torch.no_grad():
        for role in ("query", "key"):
            for parameter in matrices(model)["encoder", 0, role].parameters():
                parameter.zero_()
    assert parameters(shrink(model)) == parameters(model)


@pytest.mark.parametrize("activation", ["gelu", "sigmoid"])
def test_a_neuron_without_inputs_leaves_its_constant_in_the_next_bias(activation, shrink):
    model = made("bert", hidden_act=activation)
    found = matrices(model)
    first, second = found["encoder", 2, "ffn_in"], found["encoder", 2, "ffn_out"]
    with torch.no_grad():
        first.weight[3:9] = 0
        first.bias[8] = 0
    small = shrink(model)
    left = matrices(small)["encoder", 2, "ffn_out"]
    act = {"gelu": torch.nn.functional.gelu, "sigmoid": torch.sigmoid}[activation]
    added = second.weight[:, 3:9] @ act(first.bias[3:9])
    assert left.weight.shape == (WIDTH, FFN - 6)
    torch.testing.assert_close(left.bias, second.bias + added)
    assert added.abs().max() > 0.01
    assert distance(small, model, "bert") < CLOSE


@pytest.mark.parametrize("name", ENCODERS)
def test_quantizing_after_shrinking_works_and_before_it_is_refused(name, shrink, make_lab):
    model = masked(made(name))
    small = shrink(model)
    eighth = Quantize().compress(small, make_lab(small))
    assert distance(eighth, small, name) > 0
    ledger = trace(eighth, one_example(name))
    assert ledger.macs == trace(small, one_example(name)).macs
    assert ledger.uncounted == {}
    with pytest.raises(MethodError, match="Shrink before layers are quantized"):
        shrink(Quantize().compress(copy_model(model), make_lab(model)))
