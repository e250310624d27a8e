"""Closed forms of every stored layer kind; a kind without one here fails."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from traced import traced

from bench.layers.block_term_attention import BlockTermAttention
from bench.layers.factorized import FactorizedLinear
from bench.layers.factorized_embedding import FactorizedEmbedding
from bench.layers.halting import HaltingStack
from bench.layers.int8 import Int8Linear
from bench.layers.int8_factorized import Int8FactorizedLinear
from bench.layers.layer import LAYER_KINDS
from bench.layers.safe_embedding import SafeEmbedding

ROWS, WIDTH, OUT, RANK = (2, 5), 24, 16, 3


def sparse(*shape):
    """Random numbers of which about half are zero, no others near it."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))
    return torch.where(values.abs() > 0.6, values, torch.zeros(()))


def int8():
    weight = sparse(OUT, WIDTH)
    return Int8Linear.from_float(weight, torch.randn(OUT)), WIDTH * OUT, int(weight.count_nonzero())


def factorized():
    first, second = sparse(RANK, WIDTH), sparse(OUT, RANK)
    layer = FactorizedLinear.from_factors(first, second, torch.randn(OUT))
    return layer, RANK * (WIDTH + OUT), int(first.count_nonzero() + second.count_nonzero())


def int8_factorized():
    layer, macs, _ = factorized()
    nonzero = sum(int(Int8Linear.from_float(each, None).weight.count_nonzero()) for each in (layer.first, layer.second))
    return Int8FactorizedLinear.from_factorized(layer), macs, nonzero


# Of each kind of linear layer: one, its multiply-adds a row in closed form, and how many of its weights are not zero.
CLOSED_FORMS = {"int8-linear": int8, "factorized-linear": factorized, "int8-factorized-linear": int8_factorized}

BATCH, LENGTH, ENTRIES, POSITIONS = 2, 5, 30, 6
IDS = torch.arange(BATCH * LENGTH).reshape(BATCH, LENGTH)
STATES = torch.ones(BATCH, LENGTH, WIDTH)
TOKENS = BATCH * LENGTH
# Of each other kind: one, what it is given, and its multiply-adds for it in closed form and by its own account.
OTHERS = {
    "factorized-embedding": lambda: (
        layer := FactorizedEmbedding(ENTRIES, OUT, RANK),
        IDS,
        TOKENS * RANK * OUT,
        layer.macs(TOKENS),
    ),
    "safe-embedding": lambda: (
        layer := SafeEmbedding(ENTRIES, OUT, 4, heads=2, padding_idx=0),
        IDS,
        TOKENS * (5 * 4 * 4 + 4 * OUT) + 2 * TOKENS * LENGTH * 4,
        layer.macs(BATCH, LENGTH),
    ),
    "block-term-attention": lambda: (
        layer := BlockTermAttention(WIDTH, RANK, 2, POSITIONS, causal=True),
        STATES,
        TOKENS * (3 * WIDTH * RANK + LENGTH**2 * RANK + LENGTH**2 * WIDTH),
        layer.macs(BATCH, LENGTH),
    ),
    "halting-stack": lambda: (
        layer := HaltingStack(WIDTH).adopt([nn.Linear(WIDTH, WIDTH)] * 3),
        STATES,
        TOKENS * 2 * (WIDTH + WIDTH**2),  # a unit of zeros halts at p = 1/2 after two steps
        layer.macs(TOKENS, 2) + TOKENS * 2 * WIDTH**2,
    ),
}


def test_every_stored_layer_kind_has_a_closed_form_here():
    assert sorted([*CLOSED_FORMS, *OTHERS]) == LAYER_KINDS.names()


@pytest.mark.parametrize("kind", OTHERS)
def test_other_stored_modules_are_traced_at_their_closed_form_and_say_the_same_of_themselves(kind):
    layer, inputs, macs, own = OTHERS[kind]()
    assert layer.kind == kind
    found = traced(lambda self, x: self.layer(x), {"x": inputs}, layer=layer.eval())
    assert (found.macs, found.coverage, own) == (macs, 1.0, macs)


@pytest.fixture(params=CLOSED_FORMS)
def made(request):
    layer, macs, nonzero = CLOSED_FORMS[request.param]()
    assert layer.kind == request.param
    return layer.eval(), macs, nonzero


def test_a_stored_layer_is_traced_at_its_closed_form_and_says_the_same_of_itself(made):
    layer, macs, nonzero = made
    found = traced(lambda self, x: self.layer(x), {"x": torch.randn(*ROWS, WIDTH)}, layer=layer)
    assert found.macs == layer.macs(10) == 10 * macs
    assert found.coverage == 1.0
    assert found.macs_effective() == 10 * nonzero < 10 * macs


def test_bit_operations_of_a_stored_layer_are_those_of_the_operands_that_its_kernel_multiplies(made):
    layer, macs, _ = made
    found = traced(lambda self, x: self.layer(x), {"x": torch.randn(*ROWS, WIDTH)}, layer=layer)
    as_float = getattr(layer, "kernel", None) == "dequantized"
    bits = 32 * 32 if as_float else layer.weight_bits * layer.activation_bits
    assert found.bops == 10 * macs * bits


def test_a_stored_layer_called_twice_is_counted_twice(made):
    layer, macs, _ = made
    found = traced(lambda self, x: self.layer(x) + self.layer(x), {"x": torch.randn(1, WIDTH)}, layer=layer)
    assert (found.macs, len(found.by_operator())) == (2 * macs, 1)


def test_a_quantized_copy_has_the_dense_multiply_adds_though_torchs_counter_sees_none():
    linear = nn.Linear(WIDTH, OUT)
    inputs = {"x": torch.randn(*ROWS, WIDTH)}
    dense = traced(lambda self, x: self.layer(x), inputs, layer=linear)
    packed = traced(lambda self, x: self.layer(x), inputs, layer=Int8Linear.from_float(linear.weight, linear.bias))
    assert packed.macs == dense.macs == 10 * WIDTH * OUT


def test_a_layer_of_zeros_executes_all_and_none_of_it_has_an_effect(made):
    layer, macs, _ = made
    with torch.no_grad():
        for tensor in layer.state_dict().values():
            if tensor.dim() >= 2:
                tensor.zero_()
    found = traced(lambda self, x: functional.relu(self.layer(x)), {"x": torch.randn(4, WIDTH)}, layer=layer)
    assert (found.macs, found.macs_effective()) == (4 * macs, 0)
