from __future__ import annotations

from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from bench.base.errors import MethodError
from bench.layers.factorized import FactorizedLinear, decompose, rank_for_energy, truncated
from bench.methods.base.method import ALL_ROLES, Role
from bench.methods.factorize.factorize import Factorize
from bench.models import adapter
from bench.models.adapter import adapter_for


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (9, 9)])
@pytest.mark.parametrize("rank", [1, 4, 8])
def test_the_squared_error_is_the_sum_of_the_dropped_squared_singular_values(shape, rank):
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    left, right = truncated(decompose(weight), rank)
    assert left.shape == (shape[0], rank)
    assert right.shape == (rank, shape[1])
    error = (weight.double() - left @ right).square().sum()
    dropped = torch.linalg.svdvals(weight.double())[rank:].square().sum()
    assert error.item() == pytest.approx(dropped.item(), rel=1e-5)


def test_full_rank_reproduces_the_layers_outputs():
    torch.manual_seed(0)
    linear, inputs = nn.Linear(10, 14), torch.randn(3, 10)
    second, first = (factor.float() for factor in truncated(decompose(linear.weight), 10))
    layer = FactorizedLinear.from_factors(first, second, linear.bias)
    torch.testing.assert_close(layer(inputs), linear(inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("energy", "rank"), [(0.5, 1), (0.64, 1), (0.65, 2), (0.99, 2), (1.0, 2), (1e-9, 1)])
def test_energy_gives_the_smallest_rank_that_holds_it(energy, rank):
    assert rank_for_energy(torch.tensor([0.8, 0.6, 0.0], dtype=torch.float64), energy) == rank


def test_weights_and_macs_of_every_matrix_fall_to_r_times_m_plus_n(make_lab, tiny_bert):
    model = tiny_bert()
    smaller = Factorize(ratio=0.25).compress(model, make_lab())
    before, after = (adapter_for(one).linears(one) for one in (model, smaller))
    for name, dense in before.items():
        rows, columns = dense.weight.shape
        layer = after[name]
        assert isinstance(layer, FactorizedLinear)
        assert layer.rank == 8  # a quarter of min(m, n) = 32
        assert layer.macs(5) == 5 * 8 * (rows + columns)
        assert layer.first.numel() + layer.second.numel() == 8 * (rows + columns)


def test_without_tuning_each_layer_is_the_best_of_its_rank(make_lab, tiny_bert):
    model = tiny_bert()
    smaller = Factorize(rank=5, budget=0).compress(model, make_lab())
    for name, dense in adapter_for(model).linears(model).items():
        product = adapter_for(smaller).linears(smaller)[name].dense()
        dropped = torch.linalg.svdvals(dense.weight.detach().double())[5:].square().sum().item()
        assert (dense.weight - product).square().sum().item() == pytest.approx(dropped, rel=1e-4)
        assert torch.linalg.matrix_rank(product.detach(), atol=1e-5) == 5


def test_tuning_trains_the_factors(make_lab, tiny_bert):
    first, tuned = (Factorize(rank=5, budget=budget).compress(tiny_bert(), make_lab()) for budget in (0, 1))
    name = "bert.encoder.layer.0.output.dense.first"
    assert not torch.equal(first.state_dict()[name], tuned.state_dict()[name])


@pytest.mark.parametrize("rank", [16, 32, 1000])
def test_a_rank_that_saves_nothing_is_refused_with_the_break_even(make_lab, tiny_bert, rank):
    expected = rf"query: rank {rank} of a 32 x 32 matrix saves nothing: .* 32 \* 32 / \(32 \+ 32\) = 16\.0"
    with pytest.raises(MethodError, match=expected):
        Factorize(rank=rank).compress(tiny_bert(), make_lab())


def test_energy_leaves_matrices_dense_that_would_grow(make_lab, tiny_bert):
    model = tiny_bert()
    layer = model.bert.encoder.layer[1].intermediate.dense
    with torch.no_grad():
        layer.weight.copy_(torch.randn(64, 2) @ torch.randn(2, 32))  # rank 2; the others are full
    smaller = Factorize(energy=0.999, budget=0).compress(model, make_lab())
    found = {name for name, module in smaller.named_modules() if isinstance(module, FactorizedLinear)}
    assert found == {"bert.encoder.layer.1.intermediate.dense"}
    assert smaller.get_submodule(found.pop()).rank == 2


def test_an_energy_that_saves_nothing_anywhere_is_refused(make_lab, tiny_bert):
    with pytest.raises(MethodError, match="saves nothing in any matrix"):
        Factorize(energy=1.0).compress(tiny_bert(), make_lab())


def test_targets_choose_matrices_by_role(make_lab, tiny_bert):
    smaller = Factorize(rank=4, targets=("ffn_in",), budget=0).compress(tiny_bert(), make_lab())
    found = [name for name, module in smaller.named_modules() if isinstance(module, FactorizedLinear)]
    assert found == [f"bert.encoder.layer.{index}.intermediate.dense" for index in range(4)]


def test_factorizing_twice_is_refused(make_lab, tiny_bert):
    lab = make_lab()
    once = Factorize(rank=4, budget=0).compress(tiny_bert(), lab)
    with pytest.raises(MethodError, match="FactorizedLinear, not a dense matrix"):
        Factorize(rank=2, budget=0).compress(once, lab)


@pytest.mark.parametrize("arguments", [{}, {"ratio": 0.5, "rank": 3}, {"rank": 2, "energy": 0.9}])
def test_exactly_one_way_to_set_the_rank(arguments):
    with pytest.raises(ValidationError, match="exactly one of ratio, rank, energy, parameters and loss"):
        Factorize(**arguments)


def test_the_roles_that_recipes_may_name_are_those_of_the_adapters():
    assert get_args(Role) == ALL_ROLES
    assert get_args(adapter.Role) == ALL_ROLES
