"""Closed forms of every stored layer kind; a kind without one here fails."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from traced import traced

from bench.layers.block_term_attention import BlockTermAttention
from bench.layers.cells import Cells
from bench.layers.coding import Coding
from bench.layers.composite import ProductEmbedding, ProductLinear, SumEmbedding, SumLinear
from bench.layers.csr import CsrLinear
from bench.layers.empty import EmptyAttention, EmptyLinear
from bench.layers.exit_rules import ConfidenceRule, EntropyRule, NeverRule, PatienceRule, VoteRule
from bench.layers.exits import ExitHead, ExitHeads, ExitOutput, ExitStack
from bench.layers.factorized import FactorizedEmbedding, FactorizedLinear
from bench.layers.halting import HaltingStack
from bench.layers.int8 import Int8Linear
from bench.layers.int8_static import StaticInt8Linear
from bench.layers.integer.layer import IntegerLayer, IntegerStack
from bench.layers.layer import LAYER_KINDS
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.layers.rounded import AttentionRounding, RoundedNorm
from bench.layers.safe_embedding import SafeEmbedding
from bench.layers.semi_structured import SemiStructuredLinear
from bench.layers.summed import SummedEmbedding, SummedLinear
from bench.methods.quantize.grid import GRIDS, GridInput

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
    first, second = Int8Linear.from_float(layer.first, None), Int8Linear.from_float(layer.second, layer.bias)
    return ProductLinear(first, second), macs, sum(int(each.weight.count_nonzero()) for each in (first, second))


def semi_structured():
    """On a CPU: every zero is multiplied."""
    weight = sparse(OUT, WIDTH) * torch.tensor([1.0, 0.0, 1.0, 0.0]).repeat(WIDTH // 4)
    return SemiStructuredLinear.from_dense(weight, torch.randn(OUT)), WIDTH * OUT, int(weight.count_nonzero())


def int8_static():
    weight = sparse(OUT, WIDTH)
    return StaticInt8Linear.from_ranges(weight, torch.randn(OUT), -4.0, 4.0), WIDTH * OUT, int(weight.count_nonzero())


def packed(weight):
    """A layer of 4-bit codes, zero where `weight` is."""
    coding = Coding(
        form="steps", bits=4, cells=Cells(rows=len(weight), columns=weight.shape[1], groups=1, bucket=weight.shape[1])
    )
    codes = torch.where(weight != 0, 3, 0).to(torch.uint8)
    side = {name: torch.ones(shape, dtype=dtype) for name, (shape, dtype) in coding.shapes().items()}
    return LowBitLinear.from_codes(coding, codes, side, None)


def low_bit():
    weight = sparse(OUT, WIDTH)
    return packed(weight), WIDTH * OUT, int(weight.count_nonzero())


def low_bit_factorized():
    first, second = sparse(RANK, WIDTH), sparse(OUT, RANK)
    layer = ProductLinear(packed(first), packed(second))
    return layer, RANK * (WIDTH + OUT), int(first.count_nonzero() + second.count_nonzero())


def low_bit_summed():
    """Both matrices are 3 where `weight` is not zero: what is multiplied is 6 there."""
    weight = sparse(OUT, WIDTH)
    return (
        SumLinear(packed(weight), packed(weight)),
        WIDTH * OUT,
        int(weight.count_nonzero()),
    )


# Of each kind of linear layer: one, its multiply-adds a row in closed form, and how many of its weights are not zero.
CLOSED_FORMS = {
    "int8-linear": int8,
    "factorized-linear": factorized,
    "product-linear": int8_factorized,
    "semi-structured-linear": semi_structured,
    "int8-static-linear": int8_static,
    "low-bit-linear": low_bit,
    "product-linear, low-bit": low_bit_factorized,
    "sum-linear": low_bit_summed,
}

BATCH, LENGTH, ENTRIES, POSITIONS = 2, 5, 30, 6
IDS = torch.arange(BATCH * LENGTH).reshape(BATCH, LENGTH)
STATES = torch.ones(BATCH, LENGTH, WIDTH)
TOKENS = BATCH * LENGTH
# Of each other kind: one, what it is given, and its multiply-adds for it in closed form and by its own account.
OTHERS = {
    "csr-linear": lambda: (
        layer := CsrLinear.from_dense(sparse(OUT, WIDTH), torch.randn(OUT)),
        STATES,
        TOKENS * int(sparse(OUT, WIDTH).count_nonzero()),
        layer.macs(TOKENS),
    ),
    "summed-linear": lambda: (
        layer := SummedLinear(WIDTH, OUT),
        STATES,
        TOKENS * WIDTH * OUT,
        layer.macs(TOKENS),
    ),
    "factorized-embedding": lambda: (
        layer := FactorizedEmbedding(ENTRIES, OUT, RANK),
        IDS,
        TOKENS * RANK * OUT,
        layer.macs(TOKENS),
    ),
    "product-embedding": lambda: (
        layer := ProductEmbedding(embedding(), packed(sparse(OUT, WIDTH))),
        IDS,
        TOKENS * WIDTH * OUT,
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
    "exit-head": lambda: (
        layer := ExitHead(WIDTH, RANK, OUT, "tanh", 0.1),
        STATES,
        BATCH * (WIDTH * RANK + RANK * OUT),  # of the first token alone
        BATCH * (layer.dense.weight.numel() + layer.out.weight.numel()),
    ),
    "integer-layer": lambda: (
        layer := IntegerLayer(WIDTH, 3, 4, OUT),
        STATES.to(torch.int8),
        TOKENS * (4 * WIDTH * 12 + 2 * WIDTH * OUT) + 2 * TOKENS * LENGTH * 12,
        layer.macs(BATCH, LENGTH),
    ),
    "integer-stack": lambda: (
        layer := IntegerStack().adopt([IntegerLayer(WIDTH, 3, 4, OUT)] * 3),
        STATES,
        3 * (TOKENS * (4 * WIDTH * 12 + 2 * WIDTH * OUT) + 2 * TOKENS * LENGTH * 12),
        layer.macs(BATCH, LENGTH),
    ),
}


def embedding():
    """A table of 4-bit codes, looked up by fixed tokens whatever it is given."""
    coding = Coding(form="steps", bits=4, cells=Cells(rows=ENTRIES, columns=WIDTH, groups=1, bucket=WIDTH))
    side = {name: torch.ones(shape, dtype=dtype) for name, (shape, dtype) in coding.shapes().items()}
    return LowBitEmbedding.from_codes(coding, torch.zeros(ENTRIES, WIDTH, dtype=torch.uint8), side)


# Of each kind without products: one. Beside a linear map they add nothing to its multiply-adds.
EMPTY = {
    "empty-linear": lambda: EmptyLinear(WIDTH, 0, bias=False),
    "empty-attention": lambda: EmptyAttention(WIDTH, output="dense"),
    "low-bit-embedding": embedding,
    "sum-embedding": lambda: SumEmbedding(embedding(), embedding()),
    "summed-embedding": lambda: SummedEmbedding(ENTRIES, WIDTH),
    "rounded-norm": lambda: RoundedNorm(WIDTH),
}
ATTENTION = "attention-rounding"  # takes queries, keys and values

# Rules by which no row leaves here, and how many of the two exits they ask.
RULES = [(NeverRule(), 0), (EntropyRule(0.0), 2), (ConfidenceRule(1.0), 2), (PatienceRule(9, 0.1), 2), (VoteRule(9), 2)]
STACK = ("exit-stack", "exit-heads", "exit-output")
# Counted in tests/layers/test_token_stack.py and tests/models/test_relative.py.
ELSEWHERE = ("top-token-stack", "token-threshold-stack", "mpnet-heads", "deberta-heads")


def test_every_stored_layer_kind_has_a_closed_form_here():
    kinds = {name.partition(",")[0] for name in (*CLOSED_FORMS, *OTHERS, *EMPTY, ATTENTION, *STACK, *ELSEWHERE)}
    kinds |= {rule.kind for rule, _ in RULES}
    assert sorted(kinds) == LAYER_KINDS.names()


def test_rounded_attention_multiplies_as_the_plain_one_does():
    layer = AttentionRounding().eval()
    assert layer.kind == ATTENTION
    states = torch.randn(BATCH, 3, LENGTH, 4)
    found = traced(lambda self, x: self.layer(x, x, x, None, scaling=0.5, dropout=0.0), {"x": states}, layer=layer)
    assert (found.macs, found.coverage) == (2 * BATCH * 3 * LENGTH**2 * 4, 1.0)


@pytest.mark.parametrize(("rule", "asked"), RULES, ids=[rule.kind for rule, _ in RULES])
def test_a_stack_with_exits_multiplies_as_its_layers_its_exits_and_its_output_do(rule, asked):
    output = ExitOutput(WIDTH, OUT)
    output.exits = ExitHeads().adopt([ExitHead(WIDTH, RANK, OUT, "tanh", 0.1) for _ in range(2)])
    output.exits.rule = rule
    stack = ExitStack().adopt([nn.Linear(WIDTH, WIDTH) for _ in range(3)])
    stack.add_module("exits", output.exits)
    assert (stack.kind, output.exits.kind, output.kind) == STACK
    found = traced(
        lambda self, x: self.output(self.stack(x)[:, 0]), {"x": STATES}, stack=stack.eval(), output=output.eval()
    )
    exits = asked * BATCH * (WIDTH * RANK + RANK * OUT)
    assert (found.macs, found.coverage) == (3 * TOKENS * WIDTH**2 + exits + BATCH * WIDTH * OUT, 1.0)


@pytest.mark.parametrize("kind", EMPTY)
def test_what_is_empty_is_traced_without_a_multiply_add(kind):
    layer = EMPTY[kind]().eval()
    assert layer.kind == kind

    def body(self, x):
        return self.linear(x), self.layer(IDS if kind.endswith("embedding") else x)

    found = traced(body, {"x": STATES}, linear=nn.Linear(WIDTH, OUT), layer=layer)
    assert (found.macs, found.coverage) == (TOKENS * WIDTH * OUT, 1.0)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_stored_modules_are_traced_at_their_closed_form_and_say_the_same_of_themselves(kind):
    layer, inputs, macs, own = OTHERS[kind]()
    assert layer.kind == kind
    found = traced(lambda self, x: self.layer(x), {"x": inputs}, layer=layer.eval())
    assert (found.macs, found.coverage, own) == (macs, 1.0, macs)


@pytest.fixture(params=CLOSED_FORMS)
def made(request):
    layer, macs, nonzero = CLOSED_FORMS[request.param]()
    assert layer.kind == request.param.partition(",")[0]
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
    integer = [each.kernel != "dequantized" for each in layer.modules() if isinstance(each, Int8Linear)]
    bits = 8 * 8 if integer and all(integer) else 32 * 32
    assert found.bops == 10 * macs * bits


def test_a_codebook_with_outliers_is_counted_as_a_dense_matrix():
    weight = torch.randn(OUT, WIDTH, generator=torch.Generator().manual_seed(0)) * 0.04
    weight[3, 5] = 2.0
    cells = Cells(rows=OUT, columns=WIDTH, groups=1, bucket=WIDTH)
    coded = GRIDS.get("codebook")().code(GridInput(values=weight, cells=cells, bits=3))
    layer = LowBitLinear.from_codes(coded.coding, coded.codes, coded.side, None)
    found = traced(lambda self, x: self.layer(x), {"x": torch.randn(*ROWS, WIDTH)}, layer=layer)
    assert coded.coding.outliers
    assert (found.macs, found.coverage) == (10 * WIDTH * OUT, 1.0)


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
