"""Closed forms of torch's own layers, as they are traced."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from traced import Called, traced

from bench.measures.computation.trace import trace

BATCH, STEPS, WIDTH, HIDDEN = 3, 7, 10, 6


def recurrent_macs(gates, *, layers, directions, projection=0):
    """Gates * h * (in + state) a step, layer and direction, and the projection of the state where there is one."""
    state = projection or HIDDEN
    widths = [WIDTH] + [directions * state] * (layers - 1)
    one = sum(gates * HIDDEN * (width + state) + HIDDEN * projection for width in widths)
    return BATCH * STEPS * directions * one


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_a_recurrent_layer_costs_its_gates_a_step_layer_and_direction(kind, gates, both_ways, layers):
    layer = kind(WIDTH, HIDDEN, layers, batch_first=True, bidirectional=both_ways)
    found = traced(lambda self, x: self.layer(x)[0], {"x": torch.randn(BATCH, STEPS, WIDTH)}, layer=layer)
    assert found.macs == recurrent_macs(gates, layers=layers, directions=1 + both_ways)
    assert list(found.by_operator().values()) == [found.macs]
    assert found.coverage == 1.0


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("both_ways", [False, True])
def test_an_lstm_with_a_projection_costs_the_projection_too(both_ways):
    layer = nn.LSTM(WIDTH, HIDDEN, 2, batch_first=True, proj_size=4, bidirectional=both_ways)
    found = traced(lambda self, x: self.layer(x)[0], {"x": torch.randn(BATCH, STEPS, WIDTH)}, layer=layer)
    assert found.macs == recurrent_macs(4, layers=2, directions=1 + both_ways, projection=4)


def test_a_packed_sequence_costs_its_real_steps_only():
    def body(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([7, 4, 1]), batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(self.layer(packed)[0])[0]

    found = traced(body, {"x": torch.randn(BATCH, STEPS, WIDTH)}, layer=nn.LSTM(WIDTH, HIDDEN, batch_first=True))
    assert (found.macs, found.uncounted) == ((7 + 4 + 1) * 4 * HIDDEN * (WIDTH + HIDDEN), {})


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)])
def test_a_cell_called_in_a_loop_costs_as_much_as_the_layer(kind, gates):
    def body(self, x):
        state = None
        for step in range(STEPS):
            state = self.cell(x[:, step], state)
        return state

    found = traced(body, {"x": torch.randn(BATCH, STEPS, WIDTH)}, cell=kind(WIDTH, HIDDEN))
    assert found.macs == recurrent_macs(gates, layers=1, directions=1)


def test_zeros_in_any_matrix_of_a_recurrent_layer_are_seen():
    layer = nn.LSTM(WIDTH, HIDDEN, 2, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            weight[weight < 0.1] = 0.0
            assert "bias" in name or (weight == 0).any()
    found = traced(lambda self, x: self.layer(x)[0], {"x": torch.randn(BATCH, STEPS, WIDTH)}, layer=layer)
    matrices = [weight for name, weight in layer.named_parameters() if "weight" in name]
    assert found.macs_effective() == BATCH * STEPS * sum(int((weight != 0).sum()) for weight in matrices)


@pytest.mark.parametrize("bag", [False, True])
def test_looking_up_embeddings_costs_nothing(bag):
    table = (nn.EmbeddingBag if bag else nn.Embedding)(20, 8)
    found = traced(lambda self, x: self.table(x), {"x": torch.tensor([[1, 2, 3]])}, table=table)
    assert (found.macs, found.coverage, found.operations) == (0, 1.0, ())


def by_ones(layer, inputs):
    """Multiply-adds with a non-zero weight of one linear layer: its output for ones, with ones where weights are."""
    ones = copy.deepcopy(layer).double()
    with torch.no_grad():
        ones.weight.copy_((layer.weight != 0).double())
        return int(ones(torch.ones_like(inputs, dtype=torch.float64)).sum())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(8, 6, bias=False), (2, 5, 8)),
        (nn.Conv1d(6, 4, 3, bias=False), (2, 6, 9)),
        (nn.Conv1d(6, 4, 3, groups=2, stride=2, dilation=2, bias=False), (2, 6, 9)),
        (nn.Conv2d(3, 4, (3, 2), bias=False), (2, 3, 6, 5)),
        (nn.ConvTranspose1d(6, 4, 3, stride=2, bias=False), (2, 6, 9)),
    ],
    ids=["linear", "conv1d", "grouped", "conv2d", "transposed"],
)
def test_dense_and_effective_multiply_adds_are_the_sums_of_ones_that_the_layer_itself_adds(layer, shape):
    inputs = torch.randn(shape)
    dense = traced(lambda self, x: self.layer(x), {"x": inputs}, layer=layer)
    assert dense.macs == dense.macs_effective() == by_ones(layer, inputs)
    with torch.no_grad():
        layer.weight[layer.weight < 0.05] = 0
    sparse = traced(lambda self, x: self.layer(x), {"x": inputs}, layer=layer)
    assert sparse.macs == dense.macs
    assert sparse.macs_effective() == by_ones(layer, inputs) < dense.macs


@pytest.mark.parametrize("padding", [0, 1, "same", "valid"])
def test_a_convolution_is_counted_however_its_padding_is_written(padding):
    layer = nn.Conv1d(3, 5, 3, padding=padding)
    inputs = torch.randn(2, 3, 20)
    found = traced(lambda self, x: self.layer(x), {"x": inputs}, layer=layer)
    assert found.by_operator() == {"convolution": 2 * 5 * layer(inputs).shape[-1] * 3 * 3}


@pytest.mark.parametrize(
    "body",
    [
        lambda self, x: self.layer.weight @ x.t(),
        lambda self, x: torch.einsum("oi,ni->no", self.layer.weight, x),
        lambda self, x: torch.einsum("ni,oi->no", x, self.layer.weight),
        lambda self, x: torch.bmm(x[None], self.layer.weight.t().unsqueeze(0)),
        lambda self, x: functional.linear(x, self.layer.weight.reshape(6, 2, 4).flatten(1)),
        lambda self, x: functional.linear(x, self.full * self.mask),
        lambda self, x: torch.stack([torch.mv(self.layer.weight, row) for row in x.unbind()]),
        lambda self, x: torch.stack([torch.addmv(self.layer.bias, self.layer.weight, row) for row in x.unbind()]),
        lambda self, x: torch.inner(x, self.layer.weight),
        lambda self, x: torch.func.vmap(self.layer)(x),
    ],
    ids=["left", "einsum-left", "einsum", "bmm", "reshaped", "masked", "mv", "addmv", "inner", "vmap"],
)
def test_a_stored_matrix_is_found_wherever_it_stands_in_a_product(body):
    layer = nn.Linear(8, 6)
    model = Called(body, layer=layer).eval()
    model.full = nn.Parameter(layer.weight.detach().clone())
    with torch.no_grad():
        layer.weight[:, ::2] = 0
    model.register_buffer("mask", (layer.weight != 0).float())
    found = trace(model, {"x": torch.randn(5, 8)})
    assert (found.macs, found.macs_effective()) == (5 * 8 * 6, 5 * 4 * 6)


def test_weights_kept_out_of_the_state_are_seen_as_the_constants_that_they_are():
    model = Called(lambda self, x: x @ self.fixed)
    model.register_buffer("fixed", torch.eye(8), persistent=False)
    found = trace(model, {"x": torch.randn(5, 8)})
    assert (found.macs, found.macs_effective()) == (5 * 8 * 8, 5 * 8)


@pytest.mark.parametrize(("dtype", "bits"), [(torch.bfloat16, 16), (torch.float32, 32), (torch.float64, 64)])
def test_bit_operations_follow_the_types_that_are_multiplied(dtype, bits):
    layer = nn.Linear(8, 6).to(dtype)
    found = traced(lambda self, x: self.layer(x), {"x": torch.randn(5, 8, dtype=dtype)}, layer=layer)
    assert found.bops == found.macs * bits * bits


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (lambda self, x: torch.einsum("bid,bjd->bij", x, x), (2, 5, 8)),
        (lambda self, x: self.conv(self.linear(x).transpose(1, 2)), (2, 5, 8)),
        (lambda self, x: torch.baddbmm(torch.zeros(2, 5, 5), x, x.transpose(1, 2)), (2, 5, 8)),
        (lambda self, x: torch.matmul(x, x.transpose(-1, -2)) @ self.linear(x), (2, 3, 5, 8)),
        (lambda self, x: self.attention(x, x[:3], x[:3])[0], (5, 2, 8)),
    ],
    ids=["einsum", "convolution", "baddbmm", "matmul", "attention"],
)
def test_torchs_own_counter_agrees_on_dense_products(body, shape):
    parts = {"linear": nn.Linear(8, 8), "conv": nn.Conv1d(8, 4, 3), "attention": nn.MultiheadAttention(8, 2)}
    model, inputs = Called(body, **parts).eval(), {"x": torch.randn(shape)}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs)
    assert 2 * trace(model, inputs).macs == counter.get_total_flops() > 0
