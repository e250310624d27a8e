"""Stored layers: exact arithmetic of the factorized and the int8 form."""

from __future__ import annotations

import copy
import pickle
import pkgutil
import subprocess
import sys
from fractions import Fraction

import pytest
import torch
from torch.nn import functional

import bench.layers
from bench.base.errors import ArtifactError, MethodError
from bench.layers import int8
from bench.layers.block_term_attention import BlockTermAttention
from bench.layers.composite import ProductLinear, SumLinear
from bench.layers.csr import CsrLinear
from bench.layers.empty import EmptyAttention, EmptyLinear
from bench.layers.factorized import FactorizedEmbedding, FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.layers.layer import LAYER_KINDS, describe, rebuild
from bench.layers.safe_embedding import SafeEmbedding
from bench.layers.semi_structured import SemiStructuredLinear


def normal(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def integer_reference(layer, inputs):
    """The int8 product in exact integers, its rows on the grid that torch documents (from the least to the largest)."""
    largest = inputs.abs().amax(dim=1, keepdim=True)
    rows = inputs / largest
    step, zero = torch._choose_qparams_per_tensor(rows, "7-bit" in layer.kernel)
    steps = torch.clamp(torch.round(rows * torch.tensor(1 / step)) + zero, 0, 255).long()
    sums = (steps - zero) @ layer.weight.long().t()
    return sums.double() * step * largest.double() * layer.scale.double() + layer.bias.double()


def undecided(layer, inputs):
    """What a kernel may differ by from `integer_reference`, [rows, out]: steps that float32 does not decide.

    The largest element of a row is 1, which is 127.5 steps of 8 bits and 63.5 of 7: exactly between two steps, equally
    far from both. A kernel that divides rounds it to one side and one that multiplies by the inverse to the other;
    neither is less exact. The same holds for any element whose place in steps, at most 255 with an error of two
    roundings, is nearer to a boundary than 255 * 2 * 2^-24. Each can move the sum by one step of its weight.
    """
    largest = inputs.abs().amax(dim=1, keepdim=True)
    rows = (inputs / largest).double()
    step, _ = torch._choose_qparams_per_tensor(inputs / largest, "7-bit" in layer.kernel)
    places = rows / step
    near = ((places - places.floor() - 0.5).abs() < 255 * 2 * 2**-24).double()
    return step * largest.double() * (near @ layer.weight.double().abs().t()) * layer.scale.double()


@pytest.mark.parametrize(("rows", "width", "out"), [(128, 384, 384), (1, 32, 64), (17, 100, 7)])
def test_int8_equals_integer_arithmetic_and_stays_near_float(rows, width, out):
    inputs, weight, bias = normal(rows, width), normal(out, width, seed=1, scale=0.05), normal(out, seed=2)
    layer = Int8Linear.from_float(weight, bias)
    assert layer.kernel.split()[0] in int8.ENGINES
    found, exact = layer(inputs), integer_reference(layer, inputs)
    # Sums of integers are exact; three float32 products and one sum follow, each with an error of half an epsilon.
    rounding = 2 * torch.finfo(torch.float32).eps * ((exact - bias).abs() + bias.abs())
    allowed = undecided(layer, inputs)
    assert ((found - exact).abs() <= allowed + rounding).all()
    # One element of each row, its largest, is undecided by construction, and of the others hardly any.
    assert allowed.norm() < 1.2 * (inputs.abs().amax() * layer.scale.max() * 127 / 63.5 * rows**0.5 * out**0.5)
    # Uniform rounding errors of inputs and weights are independent with variance step^2 / 12 (Widrow and Kollar 2008).
    dense = functional.linear(inputs, weight, bias)
    step = inputs.abs().amax(dim=1) / (63.5 if "7-bit" in layer.kernel else 127.5)
    of_inputs = (step**2 / 12)[:, None] * weight.square().sum(dim=1)
    of_weights = inputs.square().sum(dim=1)[:, None] * layer.scale**2 / 12
    deviation = (of_inputs + of_weights).sqrt()
    assert (found - dense).square().mean() < 1.5 * deviation.square().mean()
    assert ((found - dense).abs() < 6 * deviation).all()


def test_a_row_of_outliers_costs_the_other_rows_no_precision():
    inputs, others = normal(16, 64), [row for row in range(16) if row != 3]
    layer = Int8Linear.from_float(normal(8, 64, seed=1), None)
    scaled = inputs.clone()
    scaled[3] *= 1024
    assert torch.equal(layer(scaled)[others], layer(inputs)[others])
    assert torch.equal(layer(scaled)[3], layer(inputs)[3] * 1024)


def test_rows_of_zeros_give_the_bias():
    layer = Int8Linear.from_float(normal(8, 64), normal(8, seed=1))
    assert torch.equal(layer(torch.zeros(2, 64)), layer.bias.expand(2, 8))


def test_int8_does_not_saturate_where_all_products_are_largest():
    layer = Int8Linear.from_steps(torch.full((4, 256), 127, dtype=torch.int8), torch.ones(4), None)
    assert torch.allclose(layer(torch.ones(3, 256)), torch.full((3, 4), 127.0 * 256), rtol=1e-3)


def test_int8_weights_are_the_nearest_of_255_steps_a_channel():
    weight = normal(5, 11)
    weight[3] = 0
    layer = Int8Linear.from_float(weight, None)
    for channel, row in enumerate(weight.tolist()):
        largest = max(abs(Fraction(value)) for value in row)
        assert layer.scale[channel].item() == pytest.approx(float(largest / 127) if largest else 1.0)
        for value, step in zip(row, layer.weight[channel].tolist(), strict=True):
            assert -127 <= step <= 127
            assert abs(Fraction(value) - step * Fraction(layer.scale[channel].item())) <= largest / 254 * Fraction(
                1.00001
            )


def test_the_engine_chosen_elsewhere_is_left_alone():
    before = torch.backends.quantized.engine
    Int8Linear.from_float(normal(8, 8), None)(normal(2, 8))
    assert torch.backends.quantized.engine == before


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_used_int8_layer_can_be_copied_and_the_copy_is_its_own(copier):
    layer, inputs = Int8Linear.from_float(normal(8, 16), normal(8, seed=3)), normal(4, 16, seed=4)
    before = layer(inputs)
    copied = copier(layer)
    assert torch.equal(copied(inputs), before)
    copied.load_state_dict({**copied.state_dict(), "bias": torch.zeros(8)})
    assert torch.equal(layer(inputs), before)
    assert torch.allclose(copied(inputs), before - layer.bias, atol=1e-6)


def test_without_an_engine_int8_is_labelled_and_runs_in_float(monkeypatch):
    monkeypatch.setattr(int8, "_engine", lambda device: None)
    layer, inputs = Int8Linear.from_float(normal(8, 16), normal(8, seed=3)), normal(4, 16, seed=4)
    assert layer.kernel == "dequantized"
    assert torch.equal(layer(inputs), functional.linear(inputs, layer.weight * layer.scale[:, None], layer.bias))


def test_the_cuda_arithmetic_is_the_symmetric_integer_product(exact_int_mm):
    layer, rows = Int8Linear.from_float(normal(8, 16), None), normal(2, 3, 16, seed=4).tanh()
    sums = torch.round(rows * 127).long() @ layer.weight.long().t()
    # Two float32 products and a quotient, each with an error of half an epsilon.
    assert torch.allclose(layer._cuda(rows), sums * layer.scale / 127, rtol=3 * torch.finfo(torch.float32).eps, atol=0)


def test_training_through_an_int8_layer_is_refused():
    layer = Int8Linear.from_float(normal(8, 16), None)
    inputs = normal(2, 16).requires_grad_()
    assert not layer.eval()(inputs).requires_grad
    with pytest.raises(MethodError, match="quantize in the last stage"):
        layer.train()(inputs)


def test_factorized_is_the_product_of_its_factors():
    first, second, bias = normal(3, 10), normal(6, 3, seed=1), normal(6, seed=2)
    layer, inputs = FactorizedLinear.from_factors(first, second, bias), normal(4, 2, 10, seed=3)
    assert torch.allclose(layer(inputs), inputs @ (second @ first).t() + bias, atol=1e-5)
    assert torch.equal(layer.dense(), second @ first)
    assert layer.macs(8) == 8 * 3 * 10 + 8 * 6 * 3
    assert sum(parameter.numel() for parameter in layer.parameters()) == 3 * 10 + 6 * 3 + 6


def test_factors_that_do_not_multiply_and_a_rank_of_zero_are_refused():
    with pytest.raises(MethodError, match="cannot be multiplied"):
        FactorizedLinear.from_factors(normal(3, 10), normal(6, 4), None)
    with pytest.raises(MethodError, match="at least 1"):
        FactorizedLinear(4, 4, 0)


@pytest.mark.parametrize(
    "layer",
    [
        FactorizedLinear(5, 7, 2),
        FactorizedLinear(5, 7, 2, bias=False),
        Int8Linear(5, 7),
        Int8Linear(5, 7, bias=False),
        torch.nn.Linear(5, 7),
        torch.nn.Linear(5, 7, bias=False),
        ProductLinear(Int8Linear(5, 2, bias=False), Int8Linear(2, 7)),
        ProductLinear(FactorizedLinear(5, 3, 2), Int8Linear(3, 7)),
        SumLinear(Int8Linear(5, 7), FactorizedLinear(5, 7, 2)),
        CsrLinear(6, 8, 11),
        CsrLinear(6, 8, 3, block=2, bias=False),
        SemiStructuredLinear(12, 7),
        SemiStructuredLinear(12, 7, bias=False),
        FactorizedEmbedding(9, 6, 2, padding_idx=1),
        SafeEmbedding(9, 6, 4, heads=2, causal=True, padding_idx=1),
        BlockTermAttention(8, 3, 2, 5, causal=True),
        BlockTermAttention(8, 3, 2, 5, own_output=False),
        EmptyLinear(5, 0),
        EmptyLinear(0, 7, bias=True),
        EmptyAttention(8, layer_idx=2, cross=True),
        EmptyAttention(8, output="dense", bias=False, norm="LayerNorm", eps=1e-6, dropout=0.1),
    ],
)
def test_a_described_layer_is_rebuilt_with_the_same_tensor_names_and_shapes(layer):
    kind, arguments = describe(layer)
    again = rebuild(kind, arguments, where="here")
    assert type(again) is type(layer)
    assert {name: tensor.shape for name, tensor in again.state_dict().items()} == {
        name: tensor.shape for name, tensor in layer.state_dict().items()
    }


def test_an_unknown_kind_and_wrong_arguments_are_artifact_errors():
    with pytest.raises(ArtifactError, match="Did you mean 'int8-linear'"):
        rebuild("int4-linear", {}, where="x")
    with pytest.raises(ArtifactError, match="do not fit layer kind"):
        rebuild("int8-linear", {"width": 3}, where="x")
    assert describe(torch.nn.GroupNorm(1, 3)) is None


def test_kinds_are_registered_under_the_name_they_store():
    assert {name: kind.kind for name, kind in LAYER_KINDS.items()} == {name: name for name in LAYER_KINDS.names()}


def test_a_fresh_process_knows_every_kind_that_a_module_of_layers_registers():
    modules = [each.name for each in pkgutil.walk_packages(bench.layers.__path__, "bench.layers.")]
    asked = "from bench.layers.layer import LAYER_KINDS; first = LAYER_KINDS.names(); import importlib, sys; "
    asked += "[importlib.import_module(name) for name in sys.argv[1:]]; assert first == LAYER_KINDS.names(), first"
    subprocess.run([sys.executable, "-c", asked, *modules], check=True)
