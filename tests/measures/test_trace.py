from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from transformers import AlbertConfig, AlbertModel, BertConfig, BertForSequenceClassification

from bench.errors import ModelError
from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.measures.trace import trace


def encoder_macs(*, length, hidden, ffn, layers):
    """Closed form for a BERT encoder: S (4 H^2 + 2 H F) + 2 S^2 H a layer."""
    return layers * (length * (4 * hidden**2 + 2 * hidden * ffn) + 2 * length**2 * hidden)


def bert_inputs(length, batch=1):
    ids = torch.full((batch, length), 7)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


class Called(nn.Module):
    """A model of one tensor `x` that calls a function of the module and of x."""

    def __init__(self, body, **modules):
        super().__init__()
        self.body = body
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.body(self, x)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("length", "flops"), [(128, 22_348_434_432), (512, 96_637_946_880)])
def test_bert_base_with_pooler_and_head_has_the_golden_total(attention, length, flops):
    with torch.device("meta"):
        model = BertForSequenceClassification._from_config(BertConfig(), attn_implementation=attention).eval()
        found = trace(model, bert_inputs(length))
    assert 2 * found.macs == flops
    assert found.coverage == 1.0
    assert found.uncounted == {}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_tiny_bert_meets_the_closed_form_and_torchs_own_counter(tiny_bert, attention):
    model = tiny_bert(3)
    model.set_attn_implementation(attention)
    found = trace(model, bert_inputs(48))
    assert found.macs == encoder_macs(length=48, hidden=32, ffn=64, layers=4) + 32 * 32 + 32 * 3
    model.set_attn_implementation("eager")  # torch's counter does not know the CPU's fused attention kernel
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**bert_inputs(48))
    assert 2 * found.macs == counter.get_total_flops()
    assert found.macs_effective() == found.macs
    assert found.bops == 32 * 32 * found.macs


def test_per_operator_counts_add_up_to_the_total(tiny_bert):
    found = trace(tiny_bert(), bert_inputs(48))
    assert found.by_operator()["scaled_dot_product_attention"] == 4 * 2 * 48**2 * 32
    assert sum(found.by_operator().values()) == found.macs


def test_doubling_the_layers_doubles_the_encoder(tiny_bert):
    one, two, four = (trace(tiny_bert(layers=depth), bert_inputs(16)).macs for depth in (1, 2, 4))
    assert four - two == 2 * (two - one)


def test_sharing_layers_leaves_macs_unchanged():
    def albert(groups):
        config = AlbertConfig(
            vocab_size=50,
            embedding_size=16,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_hidden_groups=groups,
        )
        return trace(AlbertModel(config).eval(), bert_inputs(16)).macs

    assert albert(1) == albert(4) == encoder_macs(length=16, hidden=32, ffn=64, layers=4) + 16 * 16 * 32 + 32 * 32


def test_an_lstm_costs_four_h_times_in_plus_h_a_step_layer_and_direction():
    batch, steps, width, hidden = 3, 7, 10, 6
    lstm = nn.LSTM(width, hidden, 2, batch_first=True, bidirectional=True)
    found = trace(Called(lambda self, x: self.lstm(x)[0], lstm=lstm), {"x": torch.randn(batch, steps, width)})
    first, second = 4 * hidden * (width + hidden), 4 * hidden * (2 * hidden + hidden)
    assert found.macs == batch * steps * 2 * (first + second)
    assert found.by_operator() == {"lstm": found.macs}


def test_an_lstm_with_zeroed_weights_executes_them_and_is_less_effective():
    lstm = nn.LSTM(4, 4)
    with torch.no_grad():
        lstm.weight_hh_l0.zero_()
    found = trace(Called(lambda self, x: self.lstm(x)[0], lstm=lstm), {"x": torch.randn(5, 1, 4)})
    assert (found.macs, found.macs_effective()) == (5 * 16 * 8, 5 * 16 * 4)


def test_look_ups_norms_and_activations_cost_nothing_and_are_covered():
    def body(self, x):
        return functional.softmax(functional.gelu(self.norm(self.table(x))), dim=-1)

    model = Called(body, table=nn.Embedding(20, 8), norm=nn.LayerNorm(8))
    found = trace(model, {"x": torch.tensor([[1, 2, 3]])})
    assert (found.macs, found.coverage, found.uncounted) == (0, 1.0, {})


def test_products_written_in_other_ways_cost_the_same_and_their_zeros_are_seen():
    layer = nn.Linear(8, 6)
    with torch.no_grad():
        layer.weight[:3] = 0
    bodies = [
        lambda self, x: self.layer(x),
        lambda self, x: x @ self.layer.weight.t(),
        lambda self, x: torch.addmm(self.layer.bias, x, self.layer.weight.transpose(0, 1)),
        lambda self, x: torch.mm(x, self.layer.weight.t()),
        lambda self, x: torch.einsum("ni,oi->no", x, self.layer.weight),
    ]
    for body in bodies:
        found = trace(Called(body, layer=layer), {"x": torch.randn(5, 8)})
        assert (found.macs, found.macs_effective()) == (5 * 8 * 6, 5 * 8 * 3)


def test_a_broadcast_product_counts_every_output():
    found = trace(Called(lambda self, x: torch.matmul(x[0, 0], x)), {"x": torch.randn(2, 3, 4, 4)})
    assert found.macs == 2 * 3 * 4 * 4 * 4


def test_a_convolution_costs_its_kernel_for_every_output():
    found = trace(Called(lambda self, x: self.layer(x), layer=nn.Conv1d(3, 5, 4)), {"x": torch.randn(1, 3, 20)})
    assert found.macs == 5 * 17 * 3 * 4


def test_an_int8_copy_has_the_dense_macs_and_a_sixteenth_of_the_bit_operations():
    linear = nn.Linear(24, 16).eval()
    x = {"x": torch.randn(2, 5, 24)}
    dense = trace(Called(lambda self, x: self.layer(x), layer=linear), x)
    packed = Called(lambda self, x: self.layer(x), layer=Int8Linear.from_float(linear.weight, linear.bias)).eval()
    if packed.layer.kernel == "dequantized":
        pytest.skip("no integer kernel on this machine")
    before = packed(**x)
    found = trace(packed, x)
    assert found.macs == dense.macs == 2 * 5 * 24 * 16
    assert found.bops * 16 == dense.bops
    assert found.macs_effective() == round(found.macs * int(packed.layer.weight.count_nonzero()) / (24 * 16))
    assert torch.equal(packed(**x), before)
    assert "forward" not in vars(packed.layer)


def test_an_int8_layer_that_runs_as_float_gets_the_bit_operations_of_float(monkeypatch):
    monkeypatch.setattr(Int8Linear, "kernel", "dequantized")
    found = trace(Called(lambda self, x: self.layer(x), layer=Int8Linear(8, 8)), {"x": torch.randn(1, 8)})
    assert found.bops == 8 * 8 * 32 * 32


def test_a_factorized_layer_costs_what_it_says():
    layer = FactorizedLinear.from_factors(torch.randn(3, 24), torch.randn(16, 3), None)
    found = trace(Called(lambda self, x: self.layer(x), layer=layer), {"x": torch.randn(2, 5, 24)})
    assert found.macs == layer.macs(2 * 5) == 10 * 3 * (24 + 16)


class _Opaque(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (lambda self, x: torch.cdist(self.layer(x), x), "aten::cdist"),
        (lambda self, x: torch.fft.fft(self.layer(x)).real, "aten::fft_fft"),
        (lambda self, x: torch.linalg.inv(self.layer(x)), "aten::linalg_inv"),
        (lambda self, x: _Opaque.apply(self.layer(x)), "prim::PythonOp._Opaque"),
    ],
)
def test_an_operator_that_nobody_can_count_lowers_coverage_and_is_named(body, name):
    found = trace(Called(body, layer=nn.Linear(4, 4)), {"x": torch.randn(4, 4)})
    assert name in found.uncounted
    assert found.coverage == 1 / (1 + sum(found.uncounted.values())) < 1


def test_a_model_that_cannot_be_traced_is_an_error_that_names_it_and_leaves_its_layers_as_they_were():
    def body(self, x):
        raise RuntimeError("depth depends on the data\nsecond line")

    model = Called(body, layer=Int8Linear(4, 4))
    with pytest.raises(ModelError, match=r"Called cannot be traced.*depth depends on the data$"):
        trace(model, {"x": torch.randn(1, 4)})
    assert "forward" not in vars(model.layer)


def test_tracing_leaves_outputs_mode_and_hooks_of_the_model_as_they_were(tiny_bert):
    model = tiny_bert().train()
    trace(model, bert_inputs(8))
    assert model.training
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
