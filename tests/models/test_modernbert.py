"""ModernBERT: matrices that are several in one, layers of two kinds, and what is refused."""

from __future__ import annotations

import pytest
import torch
from families import make, outputs, same_outputs
from torch import nn

from bench.artifacts import artifact
from bench.base.errors import MethodError
from bench.measures.computation.trace import trace
from bench.methods.factorize.block_term import _attentions
from bench.methods.prune.site import SitePiece
from bench.methods.prune.units import UNITS, Where
from bench.methods.quantize.quantize import Quantize
from bench.methods.shrink.cut import cut
from bench.methods.shrink.groups import groups
from bench.models.adapter import adapter_for
from bench.models.modules import copy_model

H, HEADS, HEAD, FFN, LABELS = 32, 4, 8, 64, 3
TYPES = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]


def text(length):
    ids = torch.full((1, length), 7)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.fixture
def model():
    return make("modernbert")


def test_local_layers_multiply_every_pair_and_a_gated_mlp_has_three_matrices(model):
    length = 20
    found = trace(model, text(length))
    layer = length * (4 * H * H + 3 * H * FFN) + 2 * length**2 * H
    assert (found.coverage, found.uncounted) == (1.0, {})
    assert found.macs == 4 * layer + H * H + H * LABELS


def test_parameters_are_those_of_the_definition(model):
    layer = 4 * H * H + 3 * H * FFN + 2 * H
    own = 40 * H + H + H  # words, the norm after them, the last norm; the first layer lacks one
    assert sum(p.numel() for p in model.parameters()) == 4 * layer - H + own + H * H + H + H * LABELS + LABELS


def test_some_of_the_roles_of_one_matrix_are_refused_and_all_of_them_are_it(model):
    adapter = adapter_for(model)
    assert list(adapter.linears(model, ["query", "key", "value"])) == [f"model.layers.{i}.attn.Wqkv" for i in range(4)]
    with pytest.raises(MethodError, match=r"keeps query, key, value in one matrix\. Give all of these roles, or none"):
        adapter.linears(model, ["query", "value"])
    with pytest.raises(MethodError, match="keeps query, key, value in one matrix"):
        Quantize(targets=("query",)).compress(model, None)
    with pytest.raises(MethodError, match="keeps query, key, value in one matrix"):
        _attentions(model)
    with pytest.raises(MethodError, match="keeps query, key, value in one matrix"):
        UNITS.get("weight")().sites(model, Where(targets=("key", "ffn_in")))
    assert len(UNITS.get("weight")().sites(model, Where())) == 16


def test_the_pieces_of_a_head_lie_in_all_three_parts(model):
    site = UNITS.get("head")().sites(model, Where())[1]
    assert site.count == HEADS
    weights = {piece.name.rpartition("layers.1.")[2]: piece for piece in site.pieces}
    assert set(weights) == {"attn.Wqkv.weight", "attn.Wo.weight"}
    kept = weights["attn.Wqkv.weight"].expand(torch.tensor([1.0, 0.0, 1.0, 1.0]))
    gone = {int(row) for row in (kept == 0).all(dim=1).nonzero()}
    assert gone == {part * H + HEAD + row for part in range(3) for row in range(HEAD)}


@pytest.mark.parametrize("how", ["sum", "mean", "max", "l2"])
@pytest.mark.parametrize("folds", [2, 3])
def test_pooling_over_parts_is_pooling_over_their_cells_together(how, folds):
    values = torch.randn(folds * 6, 5, generator=torch.Generator().manual_seed(0))
    piece = SitePiece(name="w", parameter=nn.Parameter(values), cell=(4, 5), folds=folds)  # the last cell has 2 rows
    reduce = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "l2": torch.linalg.vector_norm}[how]
    parts = values.view(folds, 6, 5)
    wanted = torch.stack([reduce(parts[:, rows].reshape(-1)) for rows in (slice(0, 4), slice(4, 6))])
    torch.testing.assert_close(piece.pool(values, how), wanted)
    assert piece.sizes(values).tolist() == [folds * 20, folds * 10]


def test_a_gate_that_is_zero_removes_its_neuron_and_an_activation_that_is_not_zero_removes_none(model):
    with torch.no_grad():
        wide = model.model.layers[2].mlp
        wide.Wi.weight[FFN + 5] = 0  # a gate
        wide.Wi.weight[7] = 0  # what is activated: gelu(0) = 0
    small = copy_model(model)
    assert cut(small, adapter_for(small)).neurons == 2
    assert small.model.layers[2].mlp.Wi.weight.shape == (2 * (FFN - 2), H)
    for one, other in zip(outputs(small), outputs(model), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    loud = make("modernbert", hidden_activation="sigmoid")
    with torch.no_grad():
        loud.model.layers[2].mlp.Wi.weight[7] = 0
    assert cut(copy_model(loud), adapter_for(loud)).neurons == 0
    with_bias = make("modernbert", mlp_bias=True)
    with torch.no_grad():
        with_bias.model.layers[2].mlp.Wi.weight[FFN + 5] = 0
    assert cut(copy_model(with_bias), adapter_for(with_bias)).neurons == 0


def test_groups_name_each_matrix_once_with_its_number_of_parts(model):
    found = groups(model, adapter_for(model))
    assert [(group.part, group.folds, len(group.givers)) for group in found[:2]] == [
        ("attention", (3,), 1),
        ("ffn", (2,), 1),
    ]
    assert all(group.whole for group in found)
    assert [len(part.left) for part in found[0].unfolded()] == [H, H, H]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 3], [2], [3, 0, 0], [2, 0, 1]])
def test_a_layer_stays_local_or_global_and_with_or_without_its_norm_wherever_it_runs(order, model, tmp_path, tokenizer):
    adapter = adapter_for(model)
    assert model.config.layer_types == TYPES
    layers = adapter.layers(model)
    adapter.set_layers(model, [layers[index] for index in order])
    assert model.config.layer_types == [TYPES[index] for index in order]
    artifact.save(model, tmp_path / "a", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "a").model
    assert same_outputs(loaded, model)
    assert [type(each) for each in loaded.modules()] == [type(each) for each in model.modules()]
    assert [each.attn.sliding_window for each in adapter.layers(loaded)] == [
        layers[index].attn.sliding_window for index in order
    ]
    ids = torch.randint(4, 40, (1, 30), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, loaded(input_ids=ids).logits)


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [("question-answering", "sequence-classification"), ("sequence-classification", "question-answering")],
)
def test_heads_of_one_name_for_two_tasks_are_told_apart_by_the_configuration(stored, wanted, tmp_path, tokenizer):
    from bench.artifacts.source import open_source
    from bench.models.tokenizer import write_tokenizer

    model = make("modernbert", stored, labels=2)
    model.save_pretrained(tmp_path / "m")
    write_tokenizer(tokenizer, tmp_path / "m")
    source = open_source(str(tmp_path / "m"))
    assert source.stores_head(stored)
    assert not source.stores_head(wanted)
    labels = ("a", "b") if wanted == "sequence-classification" else None
    built = source.build(head=wanted, labels=labels, tokenizer=tokenizer, seed=0)
    assert not torch.equal(built.classifier.weight, model.classifier.weight)
    assert torch.equal(built.model.layers[3].mlp.Wo.weight, model.model.layers[3].mlp.Wo.weight)
