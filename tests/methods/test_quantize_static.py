"""Static INT8: ranges of training examples, integers at run time, and one copy of the weights in memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from bench.artifacts.artifact import load, save
from bench.base.errors import MethodError
from bench.layers import int8, int8_static
from bench.layers.int8 import Int8Linear
from bench.layers.int8_static import StaticInt8Linear
from bench.measures.storage.theory import resident_bytes
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize.activations import SAMPLE, Observer
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_static_int8_equals_integer_arithmetic_and_clips_to_its_range():
    layer = StaticInt8Linear.from_ranges(normal(24, 64, seed=1) * 0.05, normal(24, seed=2), -2.0, 3.0)
    most = 127 if "7-bit" in layer.kernel else 255
    step = 5.0 / most
    zero = round(2.0 / step)
    inputs = normal(50, 64) * 2
    codes = (inputs / torch.tensor(step)).round().add(zero).clamp(0, most).long()
    exact = ((codes - zero) @ layer.weight.long().t()).double() * step * layer.scale.double() + layer.bias.double()
    found = layer(inputs)
    assert (found - exact).abs().max() < 2 * step * layer.scale.max() * 127  # a rounding boundary, to either side
    assert (found - exact).norm() / exact.norm() < 1e-3
    dense = functional.linear(inputs.clamp(-2, 3), layer.dense(), layer.bias)
    assert (found - dense).norm() / dense.norm() < 0.03
    assert layer(torch.zeros(1, 64)).allclose(layer.bias, atol=1e-6)


def test_without_an_engine_static_int8_is_labelled_and_multiplies_the_rounded_inputs(monkeypatch):
    monkeypatch.setattr(int8_static, "_has_engine", lambda: False)
    layer, inputs = StaticInt8Linear.from_ranges(normal(8, 16), normal(8, seed=3), -1.0, 1.0), normal(4, 16, seed=4)
    assert layer.kernel == "dequantized"
    step = 2.0 / 255
    rounded = ((inputs / step).round() + 128).clamp(0, 255).sub(128) * step
    torch.testing.assert_close(layer(inputs), functional.linear(rounded, layer.dense(), layer.bias), atol=1e-2, rtol=0)


@pytest.mark.parametrize(("low", "high"), [(0.5, 1.0), (-1.0, -0.5), (0.0, 0.0)])
def test_a_range_without_zero_or_width_is_refused(low, high):
    with pytest.raises(MethodError, match="must contain 0 and must not be empty"):
        StaticInt8Linear.from_ranges(normal(4, 4), None, low, high)


@pytest.mark.parametrize("activation_range", ["min-max", "percentile", "square-error", "clip"])
def test_a_static_model_stays_near_the_float_one_and_survives_the_disk(
    activation_range, make_lab, tiny_bert, logits_of, tokenizer, tmp_path
):
    model = tiny_bert()
    quantized = Quantize(scheme="static", activation_range=activation_range).compress(model, make_lab())
    layers = adapter_for(quantized).linears(quantized).values()
    assert all(type(layer) is StaticInt8Linear for layer in layers)
    torch.testing.assert_close(logits_of(quantized), logits_of(model), rtol=0, atol=0.05)
    save(quantized, tmp_path / "a", tokenizer=tokenizer)
    assert torch.equal(logits_of(load(tmp_path / "a").model), logits_of(quantized))


def test_ranges_are_those_of_the_training_examples(make_lab, tiny_bert):
    model, lab, seen = tiny_bert(layers=1), make_lab(), []
    dense = model.bert.encoder.layer[0].attention.self.query
    handle = dense.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    with torch.no_grad():
        for feature in lab.features[:5]:
            model(**{key: torch.tensor([value]) for key, value in feature.inputs.items()})
    handle.remove()
    quantized = Quantize(scheme="static", examples=5).compress(model, lab)
    layer = quantized.bert.encoder.layer[0].attention.self.query
    assert float(layer.low) == pytest.approx(min(float(each.min()) for each in seen), rel=1e-4)
    assert float(layer.high) == pytest.approx(max(float(each.max()) for each in seen), rel=1e-4)


def test_an_observer_keeps_a_bounded_even_sample_and_the_exact_ends():
    observer = Observer(torch.Generator().manual_seed(0))
    for start in range(0, 4 * SAMPLE, SAMPLE):
        observer.add(torch.arange(start, start + SAMPLE).float()[None])
    values = observer.values()
    assert values.shape == (1, SAMPLE + 2)
    assert (values.min(), values.max()) == (0, 4 * SAMPLE - 1)
    assert values.mean() / SAMPLE == pytest.approx(2, abs=0.02)


def test_a_factorized_layer_has_no_static_form(make_lab, tiny_bert):
    lab = make_lab()
    thin = Factorize(rank=4, budget=0).compress(tiny_bert(), lab)
    with pytest.raises(MethodError, match="Give scheme 'dynamic'"):
        Quantize(scheme="static").compress(thin, lab)


@pytest.mark.parametrize("make", ["dynamic", "static"])
def test_a_used_layer_holds_its_weights_once_and_gives_them_back_to_the_bit(make):
    weight, bias = normal(24, 64), normal(24, seed=1)
    plain = Int8Linear.from_float(weight, bias)
    layer = plain if make == "dynamic" else StaticInt8Linear.from_ranges(weight, bias, -3.0, 3.0)
    kept, inputs = layer.weight.clone(), normal(3, 64, seed=2)
    before = layer(inputs)
    assert layer._packed is not None
    held = [buffer for buffer in layer.buffers() if buffer.dtype == torch.int8]
    assert [(buffer.is_meta, buffer.shape) for buffer in held] == [(True, weight.shape)]
    assert resident_bytes(layer) >= 24 * 64
    assert torch.equal(copy.deepcopy(layer)(inputs), before)
    layer(inputs)
    assert torch.equal(layer.state_dict()["weight"], kept)
    assert layer._packed is None
    assert torch.equal(layer(inputs), before)
    assert torch.equal(layer.weight, kept)
    layer(inputs)
    assert torch.equal(layer.to("cpu")(inputs), before)
    layer(inputs)
    layer.load_state_dict({**layer.state_dict(), "bias": torch.zeros(24)})
    assert torch.allclose(layer(inputs), before - bias, atol=1e-5)


def test_weights_that_the_kernel_cannot_give_back_are_kept(monkeypatch):
    layer = Int8Linear.from_float(normal(8, 16), None)
    monkeypatch.setattr(int8, "_unpack", lambda packed: torch.zeros(8, 16, dtype=torch.int8))
    layer(normal(2, 16))
    assert layer.weight.any()
    assert not layer._buffers["weight"].is_meta
