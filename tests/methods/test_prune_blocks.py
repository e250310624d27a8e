from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from made_pruning import lab_of, made, prune, sites_of
from torch import nn

from bench.methods.prune.proximal import Shrinking, shrink
from bench.methods.prune.site import Site, SitePiece
from bench.models.adapter import adapter_for


def blocks(weight, rows=4, columns=4):
    """Every block of a matrix, those at the edges smaller."""
    for row, column in itertools.product(range(0, weight.shape[0], rows), range(0, weight.shape[1], columns)):
        yield weight[row : row + rows, column : column + columns]


def test_the_proximal_step_zeroes_exactly_the_blocks_shorter_than_it():
    torch.manual_seed(0)
    before = torch.randn(10, 6)
    weight = nn.Parameter(before.clone())
    shrink(Site(name="s", kind="k", pieces=(SitePiece(name="w", parameter=weight, cell=(4, 4)),)), 2.5)
    lengths = [float(block.norm()) for block in blocks(before)]
    assert min(lengths) < 2.5 < max(lengths)
    for old, new in zip(blocks(before), blocks(weight.detach()), strict=True):
        length = float(old.norm())
        if length <= 2.5:
            assert (new.contiguous().view(torch.int32) == 0).all()  # +0.0, bit for bit
        else:
            torch.testing.assert_close(new, old * (1 - 2.5 / length))
            # Optimality of the proximal problem: new - old + length * new / ||new|| = 0.
            torch.testing.assert_close(new - old + 2.5 * new / new.norm(), torch.zeros_like(new), atol=1e-5, rtol=0)


def test_a_penalty_of_length_zero_changes_nothing():
    before = torch.randn(8, 8)
    weight = nn.Parameter(before.clone())
    site = Site(name="s", kind="k", pieces=(SitePiece(name="w", parameter=weight, cell=(4, 4)),))
    shrink(site, 0.0)
    assert torch.equal(weight, before)


def test_the_step_is_as_long_as_the_learning_rate_times_the_weight_of_the_penalty():
    weight = nn.Parameter(torch.ones(4, 4))  # of norm 4
    site = Site(name="s", kind="k", pieces=(SitePiece(name="w", parameter=weight, cell=(4, 4)),))
    hook = Shrinking([site], 10.0)
    hook.after_step(SimpleNamespace(optimizer=SimpleNamespace(param_groups=[{"lr": 0.1}])))
    assert float(weight.detach().norm()) == pytest.approx(3.0)
    hook.after_step(SimpleNamespace(optimizer=SimpleNamespace(param_groups=[{"lr": 0.3}])))
    assert not weight.any()


def test_a_head_shrinks_as_one_group_over_all_its_matrices():
    model = made("bert")
    (site, *_) = sites_of(model, "head")
    before = site.pooled({piece.name: piece.parameter.detach() for piece in site.pieces}, "l2")
    shrink(site, 1.0)
    after = site.pooled({piece.name: piece.parameter.detach() for piece in site.pieces}, "l2")
    torch.testing.assert_close(after, before - 1.0)


@pytest.mark.parametrize("block", [(4, 4), (5, 3)])
def test_zeros_of_a_recurrent_network_come_in_whole_blocks_only(make_lab, block):
    model = made("bench-lstm-lm")
    lab = lab_of("bench-lstm-lm", make_lab, model=model, epochs=12.0)
    pruned = prune(
        sparsity=0.5,
        unit="block",
        unit__size=block,
        saliency__pooling="max",
        schedule="ramp",
        schedule__settle_share=0.5,
        schedule__every=2,
        budget=1.0,
        penalty="group-lasso",
        penalty__weight=1.0,
    ).compress(model, lab)
    gone = total = 0
    for module in adapter_for(pruned).linears(pruned).values():
        for cell in blocks(module.weight.detach(), *block):
            assert cell.any() == cell.all()
            gone += cell.numel() * (not cell.any())
            total += cell.numel()
    assert 0.02 < gone / total < 0.98


def test_the_penalty_alone_brings_blocks_to_exactly_zero_and_more_of_it_more(make_lab):
    shares = []
    for weight in (0.0, 200.0, 400.0):
        model = made("bench-lstm-lm")
        lab = lab_of("bench-lstm-lm", make_lab, model=model, epochs=2.0)
        arguments = {"unit": "block", "budget": 1.0, "penalty": "group-lasso", "penalty__weight": weight}
        pruned = prune(sparsity=0.0, **arguments).compress(model, lab)
        cells = [
            cell for module in adapter_for(pruned).linears(pruned).values() for cell in blocks(module.weight.detach())
        ]
        shares.append(sum(not cell.any() for cell in cells) / len(cells))
    assert shares[0] == 0 < shares[1] < shares[2]


def test_the_threshold_of_larger_blocks_is_higher_by_the_fourth_root_of_their_elements(make_lab):
    from made_pruning import pruning_of

    from bench.methods.prune.ramp import ends

    model = made("bench-lstm-lm")
    lab = lab_of("bench-lstm-lm", make_lab, model=model)
    single, block = (
        ends(pruning_of(model, lab, sparsity=0.9, schedule="ramp", saliency__pooling="max", unit=unit))
        for unit in ("weight", "block")
    )
    assert {name: end * 2 for name, end in single.items()} == pytest.approx(block)
