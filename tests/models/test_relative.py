"""MPNet and DeBERTa: what distances cost, what heads keep of them, and what a layer's stack is given for them."""

from __future__ import annotations

import pytest
import torch
from families import make, outputs, same_outputs, state
from torch import nn

from bench.artifacts import artifact
from bench.layers.head_subset import DebertaHeads, MPNetHeads
from bench.measures.computation.trace import trace
from bench.methods.shrink.cut import cut
from bench.models.adapter import adapter_for
from bench.models.exits import cut_at_exit, grow_exits
from bench.models.modules import copy_model
from bench.models.roles import POSITION_ROLES, ROLES

H, HEAD, FFN, LABELS = 32, 8, 64, 3
DISTANCES = 12  # twice the buckets
OWN = {"share_att_key": False}
FORMS = {
    "mpnet": ("mpnet", {}),
    "shared": ("deberta-v2", {}),
    "own": ("deberta-v2", OWN),
    "keys only": ("deberta-v2", {**OWN, "pos_att_type": ["c2p"]}),
    "convolution": ("deberta-v2", {"conv_kernel_size": 3, "conv_act": "gelu"}),
}


def text(length):
    ids = torch.full((1, length), 7)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def layer_macs(length):
    """Six maps of every token, and both products of every pair."""
    return length * (4 * H * H + 2 * H * FFN) + 2 * length**2 * H


@pytest.fixture(params=FORMS)
def model(request):
    family, settings = FORMS[request.param]
    return make(family, **settings)


def head_macs():
    return H * H + H * LABELS


def test_mpnet_costs_what_bert_costs_for_its_distances_are_looked_up():
    found = trace(make("mpnet"), text(20))
    assert (found.coverage, found.uncounted) == (1.0, {})
    assert found.macs == 4 * layer_macs(20) + head_macs()


@pytest.mark.parametrize(("form", "terms"), [("shared", 2), ("own", 2), ("keys only", 1)])
def test_debertas_distances_are_mapped_in_every_layer_and_multiplied_with_its_tokens(form, terms):
    family, settings = FORMS[form]
    length = 20
    found = trace(make(family, **settings), text(length))
    distances = terms * (DISTANCES * H * H + length * DISTANCES * H)
    assert (found.coverage, found.uncounted) == (1.0, {})
    assert found.macs == 4 * layer_macs(length) + 4 * distances + head_macs()


def test_a_convolution_costs_its_kernel_once():
    with_it, without = (trace(make("deberta-v2", **FORMS[form][1]), text(20)) for form in ("convolution", "own"))
    assert with_it.uncounted == without.uncounted == {}
    assert with_it.macs - without.macs == 20 * 3 * H * H


def test_parameters_are_those_of_the_definition():
    block = 4 * (H * H + H) + 2 * H * FFN + H + FFN + 4 * H
    tables = (40 + 40) * H + 2 * H  # words, positions, their norm
    count = sum(parameter.numel() for parameter in make("mpnet").parameters())
    assert count == 4 * block + tables + 32 * 4 + H * H + H + H * LABELS + LABELS
    tables = 40 * H + 2 * H + DISTANCES * H + 2 * H  # words, their norm; distances, theirs
    count = sum(parameter.numel() for parameter in make("deberta-v2").parameters())
    assert count == 4 * block + tables + H * H + H + H * LABELS + LABELS


def test_roles_of_distances_are_there_if_they_have_matrices_of_their_own():
    found = {form: adapter_for(make(*FORMS[form][:1], **FORMS[form][1])) for form in FORMS}
    roles = {form: found[form].roles_of(make(FORMS[form][0], **FORMS[form][1])) for form in FORMS}
    assert roles["mpnet"] == roles["shared"] == ROLES
    assert roles["own"] == (*ROLES, *POSITION_ROLES)
    assert roles["keys only"] == (*ROLES, "position_key")


def without_heads(model, layer, heads):
    """A copy in which these heads of a layer add nothing."""
    silent = copy_model(model)
    block = adapter_for(silent).blocks(silent)[layer]
    with torch.no_grad():
        for head in heads:
            block.module.get_submodule(block.names["attention_output"]).weight[:, head * HEAD : (head + 1) * HEAD] = 0
    return silent


def test_narrow_heads_keep_their_own_distances_also_after_a_second_cut_and_on_disk(model, tmp_path, tokenizer):
    silent = without_heads(model, 1, [0, 2])
    small = copy_model(silent)
    assert cut(small, adapter_for(small)).heads == 2
    for one, other in zip(outputs(small), outputs(silent), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    block = adapter_for(small).blocks(small)[1]
    assert block.module.get_submodule(block.names["query"]).weight.shape == (2 * HEAD, H)
    subset = block.module.get_submodule(block.names["query"].rpartition(".")[0])
    assert isinstance(subset, (MPNetHeads, DebertaHeads))
    assert subset.heads == (1, 3)
    twice = without_heads(small, 1, [0])  # head 1 of the whole
    last = copy_model(twice)
    cut(last, adapter_for(last))
    wanted = without_heads(model, 1, [0, 1, 2])
    for one, other in zip(outputs(last), outputs(wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    artifact.save(last, tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a").model
    assert same_outputs(loaded, last)
    assert loaded.state_dict().keys() == last.state_dict().keys()


def test_a_cut_layer_costs_less_by_its_heads_in_every_product():
    length, gone = 20, 2
    for form, terms in (("mpnet", 0), ("shared", 2), ("own", 2)):
        family, settings = FORMS[form]
        model = make(family, **settings)
        small = without_heads(model, 1, [0, 2])
        cut(small, adapter_for(small))
        before, after = trace(model, text(length)), trace(small, text(length))
        head = 4 * length * H * HEAD + 2 * length**2 * HEAD + terms * (DISTANCES * H * HEAD + length * DISTANCES * HEAD)
        assert (after.coverage, after.uncounted) == (1.0, {})
        assert before.macs - after.macs == gone * head


def test_saving_keeps_every_bit_also_of_other_depths_and_shared_layers(model, tmp_path, tokenizer):
    adapter = adapter_for(model)
    layers = adapter.layers(model)
    for number, order in enumerate(([0, 1, 2, 3], [1, 3], [0, 0, 2])):
        adapter.set_layers(model, [layers[index] for index in order])
        artifact.save(model, tmp_path / str(number), tokenizer=tokenizer)
        loaded = artifact.load(tmp_path / str(number)).model
        assert same_outputs(loaded, model)
        assert adapter.depth(loaded) == len(order)


@pytest.mark.parametrize("form", ["mpnet", "shared", "own"])
@pytest.mark.parametrize("size", [1, 2, DISTANCES])
def test_an_exit_answers_what_the_model_cut_there_answers_whoever_else_is_in_the_batch(form, size):
    family, settings = FORMS[form]
    model = make(family, **settings)
    grow_exits(model, shared=False, seed=0)
    shallow = copy_model(model)
    cut_at_exit(shallow, 2)
    draws = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 40, (size, 9), generator=draws)
    mask = torch.ones_like(ids)
    mask[-1, 6:] = 0
    with torch.no_grad():
        stack = model.get_submodule(adapter_for(model).stack_name(model))
        with stack.leaving_after(2):
            early = model(input_ids=ids, attention_mask=mask).logits
        late = model(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(early, shallow(input_ids=ids, attention_mask=mask).logits)
    assert (early - late).abs().max() > 1e-3


def test_rows_that_leave_take_no_distances_with_them():
    """The table of distances has as many rows as the batch; half of the batch leaves."""
    from bench.layers.exit_rules import ExitRule

    class Half(ExitRule):
        decides = True

        def leaves(self, said):
            leave = torch.zeros(len(said[-1]), dtype=torch.bool)
            if len(said) == 1:
                leave[::2] = True
            return leave

        def answer(self, said):
            return said[-1]

    model = make("deberta-v2")
    exits = grow_exits(model, shared=False, seed=0)
    ids = torch.randint(4, 40, (DISTANCES, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        exits.rule = Half()
        split = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(split[1::2], whole[1::2])
    assert (split[::2] - whole[::2]).abs().max() > 1e-3


def test_mpnet_counts_positions_from_token_one_whatever_is_called_padding():
    model = make("mpnet", pad_token_id=0)
    shifted = make("mpnet", pad_token_id=0)
    ids = torch.tensor([[2, 5, 6, 0, 7, 3]])
    with torch.no_grad():
        shifted.mpnet.embeddings.position_embeddings.weight[2 + ids.shape[1] :] = 9.0  # no token is so far
        assert torch.equal(model(input_ids=ids).logits, shifted(input_ids=ids).logits)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_masked_head_of_v3_has_no_softmax_layer_and_survives(legacy, tmp_path, tokenizer):
    model = make("deberta-v2", "masked-language-modelling", legacy=legacy)
    projection = adapter_for(model).output_projection(model)
    assert (projection is None) is not legacy
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    assert same_outputs(artifact.load(tmp_path / "a").model, model)


def test_what_v3_files_hold_besides_is_left_out(tmp_path, tokenizer):
    from safetensors.torch import load_file, save_file

    from bench.artifacts.source import open_source
    from bench.models.tokenizer import write_tokenizer

    model = make("deberta-v2", "masked-language-modelling", legacy=False)
    model.save_pretrained(tmp_path / "m")
    write_tokenizer(tokenizer, tmp_path / "m")
    tensors = load_file(tmp_path / "m" / "model.safetensors")
    tensors |= {"mask_predictions.dense.weight": torch.ones(32, 32), "mask_predictions.classifier.bias": torch.ones(1)}
    save_file(tensors, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    source = open_source(str(tmp_path / "m"))
    built = source.build(head="sequence-classification", labels=("a", "b"), tokenizer=tokenizer, seed=0)
    theirs = state(model.deberta)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in built.deberta.state_dict().items())


def test_other_pooling_than_published_has_no_exits():
    model = make("deberta-v2", pooler_hidden_act="tanh")
    assert adapter_for(model).head_names(model) is None
    assert isinstance(model.pooler.dense, nn.Linear)
