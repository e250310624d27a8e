"""What adapters say of blocks and heads, also where matrices are gone."""

from __future__ import annotations

import pytest
import torch
from architectures import RECURRENT, inputs_of, make_model
from families import FAMILIES, make

from bench.base.errors import ModelError
from bench.layers.empty import EmptyLinear
from bench.methods.shrink.cut import cut
from bench.methods.shrink.removable import removable
from bench.models.adapter import adapter_for
from bench.models.modules import replace_module


@pytest.mark.parametrize("name", [*FAMILIES, "marian", "encoder-decoder"])
def test_heads_are_as_wide_as_the_attention_that_runs_them(name):
    model = make(name) if name in FAMILIES else make_model(name)
    adapter = adapter_for(model)
    for stack in adapter.stacks(model):
        assert adapter.head_width(model, stack) == 8


def test_the_two_stacks_of_a_translator_may_have_heads_of_different_width():
    model = make_model("marian", encoder_attention_heads=4, decoder_attention_heads=2)
    adapter = adapter_for(model)
    assert [adapter.head_width(model, stack) for stack in ("encoder", "decoder")] == [8, 16]
    with torch.no_grad():
        adapter.layers(model, "decoder")[1].encoder_attn.out_proj.weight[:, 16:] = 0
        adapter.layers(model, "encoder")[1].self_attn.out_proj.weight[:, 16:24] = 0
    dead = {(each.stack, each.part): (each.units, each.dead) for each in removable(model, adapter) if each.dead}
    assert dead == {("decoder", "cross_attention"): (2, (1,)), ("encoder", "attention"): (4, (2,))}
    with torch.no_grad():
        before = model(**inputs_of("marian")).logits
        cut(model, adapter)
        torch.testing.assert_close(model(**inputs_of("marian")).logits, before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", RECURRENT)
def test_an_lstm_has_blocks_and_no_heads(name):
    model = make_model(name)
    adapter = adapter_for(model)
    directions = 2 if name == "bench-bilstm" else 1
    assert len(adapter.blocks(model)) == directions * adapter.depth(model)
    assert all(set(block.names) == {"input_gates", "hidden_gates"} for block in adapter.blocks(model))
    with pytest.raises(ModelError, match="no attention heads"):
        adapter.head_width(model)


def test_a_blocks_name_and_its_matrices_names_are_those_of_the_model():
    for name in ("bert", "albert"):
        model = make(name)
        for block in adapter_for(model).blocks(model):
            assert model.get_submodule(block.name) is block.module
            assert len(block.names) == 6


def test_what_is_empty_has_no_matrix_to_give():
    model = make("bert")
    adapter = adapter_for(model)
    name = "bert.encoder.layer.1.intermediate.dense"
    before = adapter.linears(model)
    replace_module(model, name, EmptyLinear(32, 0))
    assert before.keys() - adapter.linears(model).keys() == {name}
    assert "ffn_in" not in adapter.blocks(model)[1].names
