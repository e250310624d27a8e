from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.layers.composite import ProductLinear
from bench.layers.int8 import Int8Linear
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for


def test_weights_are_within_half_a_step_of_the_originals_in_range_and_zero_stays_zero(make_lab, tiny_bert):
    model = tiny_bert()
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight[:, ::3] = 0.0
    quantized = Quantize().compress(model, make_lab())
    before, after = (adapter_for(one).linears(one) for one in (model, quantized))
    assert before.keys() == after.keys()
    for name, dense in before.items():
        layer = after[name]
        assert isinstance(layer, Int8Linear)
        assert layer.weight.dtype == torch.int8
        assert layer.weight.abs().max() == 127
        assert ((layer.dense() - dense.weight).abs() <= 0.5 * layer.scale[:, None] * (1 + 1e-5)).all()
        assert (layer.weight[dense.weight == 0] == 0).all()
        assert torch.equal(layer.bias, dense.bias)


def test_outputs_stay_near_the_float_models(make_lab, tiny_bert, logits_of):
    model = tiny_bert()
    quantized = Quantize().compress(model, make_lab())
    torch.testing.assert_close(logits_of(quantized), logits_of(model), rtol=0, atol=0.02)


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
@pytest.mark.filterwarnings("ignore:torch.quantize_per")
@pytest.mark.filterwarnings("ignore:Please use quant_min and quant_max")
def test_outputs_agree_with_torchs_dynamic_quantization(make_lab, tiny_bert):
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    model = tiny_bert(layers=1)
    mine = adapter_for(model).linears(Quantize().compress(model, make_lab(model)))
    theirs = quantize_dynamic(model.bert.encoder.layer[0], {torch.nn.Linear: per_channel_dynamic_qconfig})
    inputs = torch.randn(20, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = mine["bert.encoder.layer.0.intermediate.dense"](inputs)
        expected = theirs.intermediate.dense(inputs)
        exact = model.bert.encoder.layer[0].intermediate.dense(inputs)
    assert (found - expected).norm() / expected.norm() < 3e-2
    # A range a row instead of torch's one a call: never further from the float layer.
    assert (found - exact).norm() <= (expected - exact).norm()


def test_targets_choose_matrices_by_role_and_the_rest_stays_float(make_lab, tiny_bert):
    quantized = Quantize(targets=("query", "ffn_out")).compress(tiny_bert(), make_lab())
    found = [name for name, module in quantized.named_modules() if isinstance(module, Int8Linear)]
    assert len(found) == 8
    assert all(name.endswith(("attention.self.query", "output.dense")) for name in found)
    assert type(quantized.classifier) is torch.nn.Linear


@pytest.mark.parametrize("before", [(), (Factorize(rank=4, budget=0),)], ids=["dense", "factorized"])
def test_quantizing_twice_is_refused(make_lab, tiny_bert, before):
    lab, model = make_lab(), tiny_bert()
    for stage in (*before, Quantize()):
        model = stage.compress(model, lab)
    with pytest.raises(MethodError, match="has no integer form"):
        Quantize().compress(model, lab)


def test_both_factors_of_a_factorized_matrix_become_integers_and_the_outputs_stay_near(make_lab, tiny_bert, logits_of):
    lab = make_lab()
    thin = Factorize(rank=8, budget=0).compress(tiny_bert(), lab)
    quantized = Quantize().compress(thin, lab)
    for name, layer in adapter_for(thin).linears(thin).items():
        integer = adapter_for(quantized).linears(quantized)[name]
        assert isinstance(integer, ProductLinear)
        for mine, its in ((integer.first, layer.first), (integer.second, layer.second)):
            assert mine.weight.dtype == torch.int8
            assert ((mine.dense() - its).abs() <= 0.5 * mine.scale[:, None] * (1 + 1e-5)).all()
        assert torch.equal(integer.second.bias, layer.bias)
    torch.testing.assert_close(logits_of(quantized), logits_of(thin), rtol=0, atol=0.03)
    assert not torch.equal(logits_of(quantized), logits_of(thin))


@pytest.mark.parametrize("bits", [4, 16, 8.5])
def test_other_widths_are_refused(bits):
    with pytest.raises(ValidationError, match="bits"):
        Quantize(bits=bits)
