from __future__ import annotations

import copy

import pytest
import torch
from made_masks import distance
from made_pruning import lab_of, made, pruning_of, sites_of
from torch import nn

from bench.base.errors import MethodError
from bench.methods.prune.site import Site, SitePiece, element_masks

SHAPES = [((6, 9), (1, 1)), ((6, 9), (1, 9)), ((6, 9), (6, 1)), ((8, 8), (4, 4)), ((7, 10), (4, 3)), ((5,), (2,))]
TRANSFORMERS = ("bert", "marian", "encoder-decoder")


def piece(shape, cell, **more):
    draws = torch.Generator().manual_seed(0)
    return SitePiece(name="w", parameter=nn.Parameter(torch.randn(shape, generator=draws)), cell=cell, **more)


@pytest.mark.parametrize(("shape", "cell"), SHAPES)
def test_pooling_by_sum_is_the_adjoint_of_expanding(shape, cell):
    one = piece(shape, cell)
    count = one.grid[0] * (one.grid[1] if len(shape) == 2 else 1)
    units, elements = torch.randn(count), torch.randn(shape)
    assert one.expand(units).shape == elements.shape
    left, right = (one.expand(units) * elements).sum(), (units * one.pool(elements, "sum")).sum()
    assert float(left) == pytest.approx(float(right), abs=1e-5)


def test_blocks_at_the_edge_are_smaller_and_pool_only_what_they_have():
    one = piece((5, 6), (2, 4))
    values = torch.arange(30.0).view(5, 6) - 15
    blocks = [values[row : row + 2, column : column + 4] for row in (0, 2, 4) for column in (0, 4)]
    assert one.grid == (3, 2)
    assert one.sizes(values).tolist() == [8, 4, 8, 4, 4, 2]
    for how, function in (("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax), ("l2", torch.norm)):
        torch.testing.assert_close(one.pool(values, how), torch.stack([function(block) for block in blocks]))


def test_pooling_over_several_pieces_is_pooling_over_all_their_elements():
    first, second = piece((4, 6), (2, 6), acts=False), piece((4, 4), (4, 2))
    second = SitePiece(name="v", parameter=second.parameter, cell=second.cell)
    site = Site(name="s", kind="k", pieces=(first, second))
    elements = {"w": torch.randn(4, 6), "v": torch.randn(4, 4)}
    for how, function in (("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax), ("l2", torch.norm)):
        wanted = [
            function(torch.cat([elements["w"][2 * unit : 2 * unit + 2].flatten(), part.flatten()]))
            for unit, part in enumerate(elements["v"].split(2, dim=1))
        ]
        torch.testing.assert_close(site.pooled(elements, how), torch.stack(wanted))
    torch.testing.assert_close(site.pooled(elements, "sum", acting=True), second.pool(elements["v"], "sum"))


@pytest.mark.parametrize("unit", ["weight", "block", "row", "column", "head", "neuron", "mlp"])
@pytest.mark.parametrize("name", ["bert", "marian", "bench-lstm-seq2seq"])
def test_masks_are_constant_in_the_cells_of_a_unit_and_zero_nothing_else(make_lab, unit, name):
    model = made(name)
    if name.startswith("bench") and unit in ("head", "neuron", "mlp"):
        with pytest.raises(MethodError, match="has no"):
            sites_of(model, unit)
        return
    before = copy.deepcopy(model.state_dict())
    sides = {"unit__size": (5, 3)} if unit == "block" else {}
    run = pruning_of(model, lab_of(name, make_lab, model=model), unit=unit, saliency="random", **sides)
    run.cut(0.5)
    assert 0.39 < run.sparsity < 0.61
    for site in run.sites:
        for one in site.pieces:
            gone = one.pool((one.parameter == 0).float(), "mean")
            torch.testing.assert_close(gone, (~run.masks[site.name]).float())
    masks = run.element_masks()
    tied = {parameter.data_ptr() for parameter in run.parameters.values()}
    for key, tensor in model.state_dict().items():
        if key in masks:
            assert torch.equal(tensor[masks[key]], before[key][masks[key]])
        elif tensor.data_ptr() not in tied:
            assert torch.equal(tensor, before[key])


def test_a_head_is_its_rows_of_three_maps_with_biases_and_its_columns_of_the_fourth():
    (site, *_) = sites_of(made("bert"), "head")
    units = torch.tensor([True, False, True, True])
    gone = {name: ~mask for name, mask in element_masks([site], {site.name: units}).items()}
    attention = "bert.encoder.layer.0.attention."
    for part in ("query", "key", "value"):
        assert gone.pop(f"{attention}self.{part}.weight").all(1).tolist() == [8 <= row < 16 for row in range(32)]
        assert gone.pop(f"{attention}self.{part}.bias").tolist() == [8 <= row < 16 for row in range(32)]
    columns = gone.pop(f"{attention}output.dense.weight")
    assert columns.all(0).tolist() == columns.any(0).tolist() == [8 <= column < 16 for column in range(32)]
    assert not gone


def test_cross_attention_has_heads_of_its_own():
    names = [site.name for site in sites_of(made("marian"), "head")]
    assert len(names) == 2 + 3 + 3
    assert sum("cross_attention" in name for name in names) == 3


@pytest.mark.parametrize("unit", ["head", "neuron", "mlp"])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_masked_unit_leaves_the_output_without_its_contribution(make_lab, unit, name):
    model = made(name)
    removed, gated = copy.deepcopy(model), copy.deepcopy(model)
    run = pruning_of(removed, lab_of(name, make_lab, model=model), unit=unit, saliency="random")
    run.cut(0.5)
    with torch.no_grad():
        for site in sites_of(gated, unit):
            for one in site.acting:
                one.parameter.mul_(one.expand(run.masks[site.name].float()))
    assert distance(removed, gated, name) < 1e-5
    assert distance(removed, model, name) > 1e-3


def test_biases_go_with_whole_rows_where_asked_for():
    with_bias = sites_of(made("bert"), "row", biases=True)
    assert all(len(site.pieces) == 2 for site in with_bias)
    masks = element_masks(with_bias[:1], {with_bias[0].name: torch.arange(32) > 0})
    assert [name for name in masks if name.endswith("bias")]
    assert not any(mask[0].any() for mask in masks.values())
    assert all(mask[1:].all() for mask in masks.values())
    assert all(len(site.pieces) == 1 for site in sites_of(made("bert"), "column", biases=True))


def test_a_matrix_that_is_shared_or_tied_is_one_site():
    shared = sites_of(made("albert"), "weight")
    assert len(shared) == 6
    tied = sites_of(made("marian"), "weight", targets=("embedding", "softmax"))
    assert len(tied) == 1
