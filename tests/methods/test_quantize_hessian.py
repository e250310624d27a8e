"""Bits by curvature: the power iteration against an explicit Hessian, and the allocation against its promises."""

from __future__ import annotations

import itertools

import pytest
import torch
from made_pruning import lab_of, made
from torch import nn

from bench.errors import MethodError
from bench.layers.low_bit import LowBitLinear
from bench.methods.quantize import Quantize
from bench.methods.quantizing.allocations.hessian import allocate
from bench.methods.quantizing.hessian import Curvature, curvature, top_eigenvalue
from bench.methods.quantizing.work import Work


def hessian(loss, weights):
    """Every second derivative, row by row."""
    gradients = torch.autograd.grad(loss(), weights, create_graph=True)
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    rows = [torch.autograd.grad(entry, weights, retain_graph=True) for entry in flat]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def test_power_iteration_finds_the_top_eigenvalue_of_an_explicit_hessian():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    inputs, labels = torch.randn(16, 3).double(), torch.randint(0, 2, (16,))
    for layer in (net[0], net[2]):
        weights = [layer.weight, layer.bias]

        def loss():
            return nn.functional.cross_entropy(net(inputs), labels)

        values = torch.linalg.eigvalsh(hessian(loss, weights))
        top = float(values[values.abs().argmax()])
        found = top_eigenvalue(loss, weights, iterations=300, draws=torch.Generator().manual_seed(1))
        assert found == pytest.approx(top, rel=1e-2)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_power_iteration_is_within_a_thousandth_of_a_quadratic_form():
    draws = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(6, 6, generator=draws).double()).Q
    form = basis @ torch.diag(torch.tensor([-9.0, 5, 2, 1, 0.5, 0.1]).double()) @ basis.t()
    weight = torch.randn(6, generator=draws).double().requires_grad_()
    found = top_eigenvalue(lambda: weight @ form @ weight / 2, [weight], iterations=100, draws=draws)
    assert found == pytest.approx(float(torch.linalg.eigvalsh(form)[0]), rel=1e-3)


def test_omega_is_the_mean_plus_the_deviation():
    assert Curvature((-3.0, -1.0)).omega == pytest.approx(2 + 1)


@pytest.mark.parametrize("budget", [2.0, 2.3, 2.75, 3.5, 4.0, 8.0])
def test_bits_never_rise_while_curvature_falls_and_the_budget_is_met(budget):
    omega = {f"layer {index}": value for index, value in enumerate((0.1, 5.0, 2.0, 2.5, 0.7, 9.0))}
    costs = {name: {bits: bits * 100 for bits in (2, 3, 4)} for name in omega}
    bits = allocate(omega, costs, budget=budget * 600)
    for one, other in itertools.permutations(omega, 2):
        assert bits[one] >= bits[other] or omega[one] <= omega[other]
    assert sum(bits.values()) <= budget * 6
    assert sum(bits.values()) == min(int(budget * 6), 24)


def test_a_budget_below_the_fewest_bits_is_refused():
    with pytest.raises(MethodError, match="2 bits everywhere cost 200 and the budget is 150"):
        allocate({"a": 1.0}, {"a": {2: 200, 3: 300}}, budget=150)


def mixed(**changes):
    plain = {"scheme": "weights", "allocation": "hessian", "choices": (2, 4), "shards": 2, "iterations": 4}
    return Quantize(**{**plain, "examples": 8, **changes})


@pytest.mark.parametrize("budget", [{"average_bits": 3.0}, {"size_share": 0.135}])
@pytest.mark.parametrize("per", ["layer", "matrix"])
def test_layers_get_bits_by_their_curvature_within_the_budget(make_lab, tiny_bert, per, budget):
    model = tiny_bert()
    packed = mixed(per=per, **budget).compress(model, make_lab())
    layers = {name: module for name, module in packed.named_modules() if isinstance(module, LowBitLinear)}
    assert {layer.coding.bits for layer in layers.values()} == {2, 4}
    count = sum(layer.in_features * layer.out_features for layer in layers.values())
    if "average_bits" in budget:
        spent = sum(layer.in_features * layer.out_features * layer.coding.bits for layer in layers.values())
        assert spent <= 3.0 * count
    else:
        assert sum(layer.coding.code_bytes + layer.coding.side_bytes for layer in layers.values()) <= 0.135 * 4 * count
    if per == "layer":
        by_layer = {}
        for name, layer in layers.items():
            by_layer.setdefault(name.split(".layer.")[1][0], set()).add(layer.coding.bits)
        assert all(len(bits) == 1 for bits in by_layer.values())


def test_curvature_leaves_the_model_as_it_was_and_is_the_same_for_the_same_seed(make_lab, tiny_bert, state_of):
    model = tiny_bert(layers=2)
    before = state_of(model)
    blocks = {str(index): list(layer.attention.parameters()) for index, layer in enumerate(model.bert.encoder.layer)}
    work = Work(model=model, method=mixed(average_bits=3.0), lab=make_lab())
    found = [curvature(blocks, work, shards=2, iterations=4) for _ in range(2)]
    assert found[0] == found[1]
    assert all(len(each.eigenvalues) == 2 and each.omega > 0 for each in found[0].values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_a_recurrent_network_has_curvature_too(make_lab):
    model = made("bench-lstm-lm")
    work = Work(model=model, method=mixed(average_bits=3.0), lab=lab_of("bench-lstm-lm", make_lab))
    blocks = {"all": [parameter for parameter in model.parameters() if parameter.dim() == 2]}
    assert curvature(blocks, work, shards=2, iterations=4)["all"].omega > 0


def test_more_shards_than_examples_and_budgets_for_nothing_are_refused(make_lab, tiny_bert):
    with pytest.raises(MethodError, match="4 training examples do not make 5 shards"):
        mixed(average_bits=3.0, shards=5, examples=4).compress(tiny_bert(), make_lab())
    with pytest.raises(MethodError, match="no target is inside one"):
        mixed(average_bits=3.0, targets=("embedding",)).compress(tiny_bert(), make_lab())
