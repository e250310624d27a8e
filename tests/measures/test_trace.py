from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from families import ENCODERS, make
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from traced import Called, bert_inputs, encoder_macs
from transformers import AlbertConfig, AlbertModel, BertConfig, BertForSequenceClassification

from bench.base.errors import ModelError
from bench.layers.int8 import Int8Linear
from bench.measures.computation.trace import trace


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


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ENCODERS)
def test_every_supported_architecture_is_covered_and_costs_what_torchs_counter_finds(family, attention):
    model = make(family, num_hidden_layers=2)
    model.set_attn_implementation(attention)
    found = trace(model, bert_inputs(16))
    assert found.coverage == 1.0
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**bert_inputs(16))
    assert 2 * found.macs == counter.get_total_flops()
    assert len(found.by_module(3)) < 12


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


def test_the_model_runs_once_to_be_counted(tiny_bert):
    model, calls = tiny_bert(), []
    model.register_forward_pre_hook(lambda module, _: calls.append("model"))
    model.bert.encoder.layer[0].register_forward_pre_hook(lambda module, _: calls.append("layer"))
    trace(model, bert_inputs(8))
    assert calls == ["model", "layer"]


def test_a_model_that_raises_is_left_without_the_tracers_hooks():
    def body(self, x):
        raise ValueError

    model = Called(body, layer=nn.Linear(4, 4))
    mine = model.layer.register_forward_hook(lambda *_: None)
    with pytest.raises(ModelError, match="Called cannot be traced to count its operators: ValueError"):
        trace(model, {"x": torch.randn(1, 4)})
    assert list(model.layer._forward_hooks) == [mine.id]
    assert not any(
        module._forward_pre_hooks or (module is not model.layer and module._forward_hooks) for module in model.modules()
    )


@pytest.fixture(scope="module")
def custom_operators():
    """Operators of another library that multiply matrices, defined in the three ways that torch offers."""
    library = torch.library.Library("countingtest", "FRAGMENT")
    for name, key in (("composite", "CompositeImplicitAutograd"), ("kernel", "CPU")):
        library.define(f"{name}(Tensor x) -> Tensor")
        library.impl(name, lambda x: x @ x.transpose(-1, -2), key)

    @torch.library.custom_op("countingtest::python", mutates_args=())
    def python(x: torch.Tensor) -> torch.Tensor:
        return x @ x.transpose(-1, -2)

    yield torch.ops.countingtest
    library._destroy()


@pytest.mark.parametrize("name", ["composite", "kernel", "python"])
def test_an_operator_of_another_library_is_heavy_until_it_has_a_handle(custom_operators, name):
    operator = getattr(custom_operators, name)
    found = trace(Called(lambda self, x: operator(self.layer(x)), layer=nn.Linear(4, 4)), {"x": torch.randn(4, 4)})
    assert found.uncounted == {f"countingtest::{name}": 1}
    assert found.coverage == 1 / 2


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (lambda self, x: self.sparse @ x, "aten::matmul of a tensor without a dense shape"),
        (lambda self, x: x.to(torch.complex64) @ x.to(torch.complex64), "aten::matmul of complex numbers"),
        (lambda self, x: torch.bilinear(x, x, self.cube), "aten::bilinear"),
        (lambda self, x: functional.cosine_similarity(x, x), "aten::cosine_similarity"),
    ],
    ids=["sparse", "complex", "bilinear", "cosine"],
)
def test_operands_that_a_handle_cannot_count_are_named_with_the_operator(body, name):
    model = Called(body, layer=nn.Linear(4, 4))
    model.sparse = nn.Parameter(torch.eye(4).to_sparse(), requires_grad=False)
    model.cube = nn.Parameter(torch.randn(3, 4, 4))
    found = trace(model, {"x": torch.randn(4, 4)})
    assert [key.startswith(name) for key in found.uncounted] == [True]
    assert found.coverage == 0.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_function_hides_its_operators_and_so_is_not_covered():
    scripted = torch.jit.script(_twice)
    found = trace(
        Called(lambda self, x: scripted(x, self.layer.weight), layer=nn.Linear(4, 4)), {"x": torch.ones(4, 4)}
    )
    assert any(name.startswith("prim::CallFunction") for name in found.uncounted)
    assert found.coverage == 0.0


def _twice(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x @ weight @ weight


@pytest.mark.parametrize("output", [lambda x: x, lambda x: (x, 1), lambda x: SimpleNamespace(logits=x)])
def test_products_that_no_output_needs_were_executed_and_count(output):
    def body(self, x):
        if self.decides(x).sum() > 1e9:
            x = self.layer(x)
        self.kept = self.layer(x)
        return output(self.layer(x))

    found = trace(Called(body, layer=nn.Linear(4, 4), decides=nn.Linear(4, 2)), {"x": torch.randn(3, 4)})
    assert found.macs == 2 * 3 * 4 * 4 + 3 * 4 * 2
    assert found.uncounted == {}


def test_an_unknown_operator_that_no_output_needs_is_named_all_the_same():
    def body(self, x):
        torch.cdist(x, x)
        return self.layer(x)

    assert trace(Called(body, layer=nn.Linear(4, 4)), {"x": torch.randn(3, 4)}).uncounted == {"aten::cdist": 1}
