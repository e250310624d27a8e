"""Bits by curvature: the top eigenvalue against an explicit Hessian, and the allocation against its promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from made_pruning import lab_of, made
from made_quantizers import quantize
from torch import nn

from bench.base.errors import MethodError
from bench.layers.low_bit import LowBitLinear
from bench.methods.quantize.hessian import DENSE, Curvature, allocate, curvature, top_eigenvalue


def hessian(loss, weights):
    """Every second derivative, row by row."""
    gradients = torch.autograd.grad(loss(), weights, create_graph=True)
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    rows = [torch.autograd.grad(entry, weights, retain_graph=True) for entry in flat]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def quadratic(values, *, dtype=torch.float64):
    """A loss whose Hessian has these eigenvalues, and its weight."""
    draws = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), generator=draws).double()).Q
    form = (basis @ torch.diag(torch.tensor(values).double()) @ basis.t()).to(dtype)
    weight = torch.randn(len(values), generator=draws).to(dtype).requires_grad_()
    return (lambda: weight @ form @ weight / 2), weight


def largest(loss, weights, *, iterations=20, seed=1):
    return top_eigenvalue(loss, weights, iterations=iterations, draws=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("width", [4, 12])  # weights for the whole Hessian, and for Lanczos's iteration
def test_lanczos_finds_the_top_eigenvalue_of_an_explicit_hessian(width):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2)).double()
    inputs, labels = torch.randn(16, 3).double(), torch.randint(0, 2, (16,))

    def loss():
        return nn.functional.cross_entropy(net(inputs), labels)

    sizes = []
    for layers in ((net[0],), (net[2],), (net[0], net[2])):
        weights = [parameter for layer in layers for parameter in layer.parameters()]
        values = torch.linalg.eigvalsh(hessian(loss, weights))
        assert largest(loss, weights) == pytest.approx(float(values[values.abs().argmax()]), rel=1e-4)
        sizes.append(len(values))
    assert (max(sizes) > DENSE) == (width == 12)
    assert all(parameter.grad is None for parameter in net.parameters())


SPECTRA = {
    "largest below zero": [-9.0, 5.0, 2.0, 1.0, 0.5, 0.1],
    "two of opposite sign": [1.0, -0.999, *np.linspace(-0.5, 0.5, 98)],
    "two of opposite sign, the negative larger": [0.999, -1.0, *np.linspace(-0.5, 0.5, 98)],
    "near ones": [1.0, 0.999, *([0.99] * 50), *np.linspace(0, 0.98, 148)],
    "slowly falling": list(0.97 ** np.arange(200)),
    "all but one zero": [1.0] + [0.0] * 99,
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_the_top_eigenvalue_of_a_hard_spectrum_is_found_with_its_sign(name, dtype, close):
    values = SPECTRA[name]
    loss, weight = quadratic(values, dtype=dtype)
    wanted = max(values, key=abs)
    for seed in range(3):
        assert largest(loss, [weight], seed=seed) == pytest.approx(wanted, rel=close)


def test_the_same_draws_give_the_same_eigenvalue_to_the_bit():
    loss, weight = quadratic(SPECTRA["near ones"], dtype=torch.float32)
    assert largest(loss, [weight]) == largest(loss, [weight])


def test_a_loss_without_curvature_has_the_eigenvalue_zero():
    weight = torch.randn(50).requires_grad_()
    assert largest(lambda: (0.0 * weight.square()).sum(), [weight]) == 0.0


def test_no_convergence_is_an_error_with_what_to_do_and_so_are_products_that_are_not_finite():
    loss, weight = quadratic(np.linspace(0.9, 1.0, 400).tolist())
    with pytest.raises(
        MethodError, match=r"not converged to 0\.0001 in 1 restarts .* \(\d+ products\)\. Raise `iterations`"
    ):
        largest(loss, [weight], iterations=1)
    broken = torch.zeros(50, requires_grad=True)
    with pytest.raises(MethodError, match="entries that are not finite"):
        largest(lambda: broken.pow(1.5).sum(), [broken])


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
    with pytest.raises(MethodError, match="2 bits everywhere cost 200, but the budget is 150"):
        allocate({"a": 1.0}, {"a": {2: 200, 3: 300}}, budget=150)


def mixed(**changes):
    plain = {"scheme": "weights", "allocation": "hessian", "allocation__widths": (2, 4), "allocation__shards": 2}
    return quantize(**{**plain, "examples": 8, **changes})


@pytest.mark.parametrize("budget", [{"allocation__average_bits": 3.0}, {"allocation__size_share": 0.135}])
@pytest.mark.parametrize("per", ["layer", "matrix"])
def test_layers_get_bits_by_their_curvature_within_the_budget(make_lab, tiny_bert, per, budget):
    model = tiny_bert(layers=2)
    packed = mixed(allocation__per=per, **budget).compress(model, make_lab())
    layers = {name: module for name, module in packed.named_modules() if isinstance(module, LowBitLinear)}
    assert {layer.coding.bits for layer in layers.values()} == {2, 4}
    count = sum(layer.in_features * layer.out_features for layer in layers.values())
    if "allocation__average_bits" in budget:
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
    work = mixed(allocation__average_bits=3.0).work(model, make_lab())
    found = [curvature(blocks, work, shards=2, iterations=20) for _ in range(2)]
    assert found[0] == found[1]
    assert all(len(each.eigenvalues) == 2 and each.omega > 0 for each in found[0].values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.slow
def test_an_eigenvalue_that_does_not_converge_names_its_layer(make_lab, tiny_bert, monkeypatch):
    monkeypatch.setattr("bench.methods.quantize.hessian.TOLERANCE", 1e-30)
    with pytest.raises(MethodError, match=r"Raise `iterations`\. Layer: bert\.encoder\.layer\.0"):
        mixed(allocation__average_bits=3.0, allocation__iterations=1).compress(tiny_bert(), make_lab())


@pytest.mark.slow
def test_a_recurrent_network_has_curvature_too(make_lab):
    model = made("bench-lstm-lm")
    work = mixed(allocation__average_bits=3.0).work(model, lab_of("bench-lstm-lm", make_lab))
    blocks = {"all": [parameter for parameter in model.parameters() if parameter.dim() == 2]}
    assert curvature(blocks, work, shards=2, iterations=20)["all"].omega > 0


def test_more_shards_than_examples_and_budgets_for_nothing_are_refused(make_lab, tiny_bert):
    with pytest.raises(MethodError, match="4 training examples do not make 5 shards"):
        mixed(allocation__average_bits=3.0, allocation__shards=5, examples=4).compress(tiny_bert(), make_lab())
    with pytest.raises(MethodError, match="no target is in a layer"):
        mixed(allocation__average_bits=3.0, targets=("embedding",)).compress(tiny_bert(), make_lab())
