"""How the rank policies of the factorizer choose."""

from __future__ import annotations

import itertools

import pytest
import torch

from bench.base.errors import MethodError
from bench.layers.factorized import FactorizedLinear
from bench.methods.base.listening import alike, run
from bench.methods.factorize.factorize import Factorize
from bench.methods.factorize.ranks import SHARES
from bench.models.adapter import adapter_for
from bench.tasks.kinds.kind import KINDS


def dense_and_factors(model, smaller):
    before, after = (adapter_for(one).linears(one) for one in (model, smaller))
    return [(before[name].weight.detach(), after[name]) for name in before]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_factors_of_a_parameter_budget_hold_at_most_their_share(make_lab, tiny_bert, share):
    model = tiny_bert()
    smaller = Factorize(parameters=share, budget=0).compress(model, make_lab())
    pairs = dense_and_factors(model, smaller)
    whole = sum(weight.numel() for weight, _ in pairs)
    spent = sum(layer.first.numel() + layer.second.numel() for _, layer in pairs)
    cheapest = min(sum(weight.shape) for weight, _ in pairs)
    saturated = all(layer.rank * sum(weight.shape) + sum(weight.shape) >= weight.numel() for weight, layer in pairs)
    assert spent <= share * whole
    assert spent > share * whole - 2 * max(sum(weight.shape) for weight, _ in pairs) or saturated, cheapest


def test_a_parameter_budget_goes_where_the_energy_is(make_lab, tiny_bert):
    model = tiny_bert()
    layer = model.bert.encoder.layer[1].attention.self.query
    with torch.no_grad():
        layer.weight.copy_(torch.randn(32, 2) @ torch.randn(2, 32))
    smaller = Factorize(parameters=0.5, budget=0).compress(model, make_lab())
    ranks = {name: layer.rank for name, layer in adapter_for(smaller).linears(smaller).items()}
    thin = ranks.pop("bert.encoder.layer.1.attention.self.query")
    assert thin <= 3
    assert min(ranks.values()) > 4


def test_a_parameter_budget_below_rank_one_is_refused(make_lab, tiny_bert):
    with pytest.raises(MethodError, match="rank 1 everywhere needs 1792 weights"):
        Factorize(parameters=0.01, budget=0).compress(tiny_bert(), make_lab())


def loss_of(model, lab, examples):
    kind = KINDS.get("classification")
    batches = alike(lab, examples=examples)
    losses = [float(kind.loss(run(model, batch), batch.targets)) * len(batch.rows) for batch in batches]
    return sum(losses) / examples


@pytest.mark.parametrize("solver", ["svd", "drone"])
def test_each_matrix_has_the_smallest_rank_that_keeps_the_loss_within_its_budget(make_lab, tiny_bert, solver):
    lab, model, rise = make_lab(examples=24), tiny_bert(layers=1), 0.002
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)  # or no rank would matter to the loss
    method = Factorize(solver=solver, loss=rise, calibration=24, budget=0, targets="ffn_in+ffn_out")
    smaller = method.compress(model, lab)
    first = loss_of(model, lab, 24)
    assert loss_of(smaller, lab, 24) <= first * (1 + rise)
    (name, dense), (last, _) = adapter_for(model).linears(model, ("ffn_in", "ffn_out")).items()
    chosen = smaller.get_submodule(name)
    most = (dense.weight.numel() - 1) // sum(dense.weight.shape)
    tried = [max(1, round(share * most)) for share in SHARES]
    rank = chosen.rank if isinstance(chosen, FactorizedLinear) else most + 1
    for lower in [each for each in tried if each < rank]:
        other = Factorize(solver=solver, rank=lower, calibration=24, budget=0, targets="ffn_in").compress(model, lab)
        assert loss_of(other, lab, 24) > first * (1 + rise) ** 0.5
    assert rank in tried or rank == most + 1
    assert last in dict(smaller.named_modules())


def test_a_larger_allowed_rise_gives_no_larger_ranks(make_lab, tiny_bert):
    lab, model = make_lab(examples=16), tiny_bert(layers=2)
    sizes = []
    for rise in (1e-6, 1e-3, 10.0):
        try:
            smaller = Factorize(loss=rise, calibration=16, budget=0).compress(model, lab)
        except MethodError:
            smaller = model  # nothing fits the smallest rise
        sizes.append(sum(parameter.numel() for parameter in smaller.parameters()))
    assert all(after <= before for before, after in itertools.pairwise(sizes))
    assert sizes[-1] < sizes[0]


def test_ranks_of_one_architecture_do_not_exceed_break_even_under_any_budget(make_lab, tiny_bert):
    model = tiny_bert()
    smaller = Factorize(parameters=0.99, budget=0).compress(model, make_lab())
    for weight, layer in dense_and_factors(model, smaller):
        assert layer.rank * sum(weight.shape) < weight.numel()


def test_only_arguments_that_differ_from_the_defaults_are_stated():
    """Arguments are in the keys of stored artifacts, so one that is added later must change none."""
    assert Factorize(ratio=0.25).stated() == {"ratio": 0.25}
    assert Factorize(loss=0.1, solver="svd").stated() == {"loss": 0.1}
    assert Factorize(rank=2, solver={"name": "block-term", "cores": 3}).stated() == {
        "rank": 2,
        "solver": {"name": "block-term", "cores": 3},
    }
