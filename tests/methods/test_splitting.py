"""Ternary weight splitting: the identities of BinaryBERT in float64, cell by cell."""

from __future__ import annotations

import pytest
import torch

from bench.layers.cells import Cells
from bench.methods.quantize.splitting import split

GRANULAR = {"tensor": (1, 60), "row": (16, 60), "groups": (5, 60), "buckets": (16, 25)}


def normal(*, seed=0, scale=0.05, shape=(16, 60)):
    draws = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=draws, dtype=torch.float64)


def cells_of(granularity, shape=(16, 60)):
    groups, bucket = GRANULAR[granularity]
    return Cells(rows=shape[0], columns=shape[1], groups=groups, bucket=bucket)


def mean(values, cells):
    return cells.whole(cells.reduce(values, "sum") / cells.sizes().double())


def ternary(weight, cells):
    """TWN in float64 by its definition: which are kept, and the scale of each weight's cell."""
    kept = weight.abs() > 0.7 * mean(weight.abs(), cells)
    scale = cells.reduce(weight.abs() * kept, "sum") / cells.reduce(kept.double(), "sum").clamp_min(1)
    return kept, cells.whole(scale)


def binary(weight, cells):
    """BWN in float64 by its definition, with sign(0) = 1."""
    return torch.where(weight >= 0, 1.0, -1.0) * mean(weight.abs(), cells)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("granularity", GRANULAR)
def test_halves_add_up_to_the_weight_and_their_binary_forms_to_its_ternary_form(granularity, seed):
    weight, cells = normal(seed=seed), cells_of(granularity)
    kept, scale = ternary(weight, cells)
    first, second = split(weight, kept, cells)
    assert first.dtype == second.dtype == torch.float64
    assert (first + second - weight).abs().max() <= 4e-16
    wanted = weight.sign() * scale * kept
    assert 0 < int(kept.sum()) < kept.numel()
    assert (binary(first, cells) + binary(second, cells) - wanted).abs().max() <= 2e-16
    for half in (first, second):
        assert (mean(half.abs(), cells) - scale / 2).abs().max() <= 1e-16


def test_the_shares_and_the_shift_are_those_of_the_paper():
    weight, cells = normal(), cells_of("tensor")
    kept, scale = ternary(weight, cells)
    first, second = split(weight, kept, cells)
    above, below = ~kept & (weight > 0), ~kept & (weight <= 0)
    sums = {name: weight[where].abs().sum() for name, where in (("I", kept), ("J", above), ("K", below))}
    b = (scale.max() * weight.numel() - weight.abs().sum()) / (2 * (~kept).sum())
    a = (sums["I"] + sums["K"] - sums["J"]) / (2 * sums["I"])
    assert 0.4 < a < 0.6
    torch.testing.assert_close(first, torch.where(kept, a * weight, torch.where(above, weight + b, b)))
    torch.testing.assert_close(second, torch.where(kept, (1 - a) * weight, torch.where(above, -b, weight - b)))
    assert (first[below] > 0).all()
    assert (second[above] < 0).all()


def test_a_weight_of_exactly_zero_and_a_cell_of_zeros_split_into_binary_forms_that_cancel():
    weight, cells = normal(), cells_of("row")
    weight[2] = 0.0
    weight[5, 7] = 0.0
    kept, scale = ternary(weight, cells)
    first, second = split(weight, kept, cells)
    both = binary(first, cells) + binary(second, cells)
    assert (both - weight.sign() * scale * kept).abs().max() <= 2e-16
    assert both[5, 7] == 0
    assert not both[2].any()
    assert not first[2].any()
    assert not second[2].any()


def test_a_cell_whose_weights_are_all_kept_is_halved():
    weight = torch.tensor([[0.5, -0.5, 0.5, 0.5]], dtype=torch.float64)
    cells = Cells(rows=1, columns=4, groups=1, bucket=4)
    kept, _ = ternary(weight, cells)
    assert kept.all()
    first, second = split(weight, kept, cells)
    assert torch.equal(first, weight / 2)
    assert torch.equal(second, weight / 2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_cell_whose_small_weights_all_have_one_sign_splits_as_well(sign):
    weight = torch.full((3, 60), 0.01 * sign, dtype=torch.float64) * torch.linspace(0.9, 1.1, 60).double()
    weight[:, 5] = 0.4  # the zeros' sum is above that of what is kept, so no share between 0 and 1 balances them
    weight[1] = normal(shape=(1, 60))[0]
    cells = Cells(rows=3, columns=60, groups=3, bucket=60)
    kept, scale = ternary(weight, cells)
    assert int(kept[0].sum()) == 1
    assert weight[0].abs().sum() > 0.8
    first, second = split(weight, kept, cells)
    assert (first + second - weight).abs().max() <= 4e-16
    assert (binary(first, cells) + binary(second, cells) - weight.sign() * scale * kept).abs().max() <= 2e-16


def test_splitting_in_float32_would_not_hold_to_that_precision():
    weight, cells = normal().float(), cells_of("tensor")
    kept, scale = ternary(weight.double(), cells)
    first, second = (half.float() for half in split(weight, kept, cells))
    error = (binary(first.double(), cells) + binary(second.double(), cells) - weight.sign() * scale * kept).abs().max()
    assert 2e-16 < error < 1e-8  # what rounding the halves costs, which is all that training starts with
