"""Quantization-aware training: gradients, ranges, what is packed at the end, and what nobody keeps."""

from __future__ import annotations

import math

import pytest
import torch
from made_quantizers import make_quantizer, quantize
from pydantic import ValidationError
from torch import nn
from torch.optim import AdamW

from bench.artifacts.artifact import load, save
from bench.base.errors import MethodError
from bench.layers.cells import Cells
from bench.layers.input_rounding import InputRounding
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.measures.computation.trace import trace
from bench.methods.base.method import ROLES
from bench.methods.factorize.factorize import Factorize
from bench.methods.quantize import aware as aware_training
from bench.methods.quantize.activations import LearnedInputs, MovingInputs
from bench.methods.quantize.aware import AwareTraining, train_aware
from bench.methods.quantize.quantize import Quantize
from bench.methods.quantize.work import RoundedParameter
from bench.tasks.kinds.kind import KINDS
from bench.training.hooks import TrainState

ALL = (*ROLES, "embedding")
FIXED = {"scheme__activation_bits": 8, "scheme__activation_span": "fixed"}
CHOICES = {
    "symmetric": {"bits": 4},
    "interval groups": {"bits": 2, "grid": "interval", "granularity": "groups", "granularity__count": 12},
    "affine heads": {"bits": 3, "grid": "affine", "granularity": "head", "range": "square-error"},
    "shifts": {"bits": 4, "grid": "power-of-two"},
    "ternary": {"bits": 2, "grid": "ternary", "granularity": "tensor", "embedding_granularity": "row"},
    "loss-aware": {"bits": 2, "grid": "loss-aware-ternary", "granularity": "tensor", "embedding_granularity": "row"},
    "binary": {"bits": 1, "grid": "binary"},
    "gobo": {"bits": 3, "grid": "codebook", "granularity": "tensor"},
    "learned steps": {"bits": 3, "range": "learned"},
    "clipped weights": {"bits": 3, "range": "clip", "range__end": 0.03},
    "8-bit calls": {"scheme__activation_bits": 8},
    "clipped tokens": {"scheme__activation_bits": 8, "scheme__activation_span": "token", "activation_range": "clip"},
    "moving average": {**FIXED, "activation_range": "moving-average"},
    "moving average with a zero point": {
        **FIXED,
        "activation_range": "moving-average",
        "scheme__activation_grid": "affine",
    },
    "learned inputs": {**FIXED, "activation_range": "learned", "scheme__activation_bits": 4},
    "percentile of examples": {**FIXED, "activation_range": "percentile", "scheme__activation_grid": "affine"},
    "everything": {"scheme__rest": True},
}


def low(**changes):
    return quantize(**{"scheme": "weights", "targets": ALL, "budget": 1.0, **changes})


def quantizer(**changes):
    return make_quantizer(**{"granularity": "tensor", "percent": 99.0, "end": 0.5, **changes})


def matrix(weight, bits=4, groups=1, **changes):
    rows, columns = weight.shape
    cells = Cells(rows=rows, columns=columns, groups=groups, bucket=columns)
    return RoundedParameter(parameter=weight, quantizer=quantizer(**changes), cells=cells, bits=bits)


def stepped(aware, model, inputs, rate=1e-2):
    """One step of `aware` on the squares of what `model` gives; the gradients that the optimizer would see."""
    optimizer = AdamW(model.parameters(), lr=rate)
    state = TrainState(model=model, optimizer=optimizer, step=0, total_steps=10, kind=KINDS.get("classification"))
    with aware.listening():
        aware.before_step(state)
        model(inputs).square().sum().backward()
        aware.after_backward(state)
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.fixture
def watched(logits_of, monkeypatch):
    """The logits of the model right after training, on rounded numbers ("fake") and on latent ones ("latent")."""
    seen = {}
    real = aware_training.trained

    def trained(work, sites, bits, inputs=None):
        aware = real(work, sites, bits, inputs)
        with aware.standing():
            seen["fake"] = logits_of(work.model)
        seen["latent"] = logits_of(work.model)
        return aware

    monkeypatch.setattr(aware_training, "trained", trained)
    return seen


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(12, 8)


def inputs():
    return torch.randn(5, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("reach", [None, 0.15])
def test_the_gradient_is_that_of_the_identity_where_the_range_clips_nothing_and_zero_elsewhere(linear, reach):
    choices = {} if reach is None else {"range": "clip", "end": reach}
    latent = linear.weight.detach().clone()
    aware = AwareTraining([matrix(linear.weight, **choices)])
    rounded = aware.coded(linear.weight).values().requires_grad_()
    (inputs() @ rounded.t() + linear.bias.detach()).square().sum().backward()
    found = stepped(aware, linear, inputs())["weight"]
    mask = torch.ones_like(latent) if reach is None else (latent.abs() <= reach).float()
    torch.testing.assert_close(found, rounded.grad * mask, rtol=1e-5, atol=1e-6)
    assert torch.equal(linear.weight, latent)  # and the optimizer changes the latent weights
    assert not torch.equal(rounded, latent)
    assert (mask == 0).any() == (reach is not None)


@pytest.mark.parametrize("grid", ["symmetric", "affine"])
def test_the_gradient_of_rounded_inputs_is_one_inside_the_range_and_zero_outside(grid):
    values = torch.tensor([-3.0, -1.1, -0.5, 0.0, 0.3, 0.9, 1.5, 4.0], requires_grad=True)
    rounding = InputRounding.fixed(-1.0, 1.0, grid=grid)
    weights = torch.arange(1.0, 9.0)
    (rounding(values) * weights).sum().backward()
    assert torch.equal(values.grad, weights * (values.detach().abs() <= 1.02))
    whole = values.detach().clone().requires_grad_()
    InputRounding(8, grid)(whole).sum().backward()
    assert torch.equal(whole.grad, torch.ones(8))


@pytest.mark.parametrize("choice", CHOICES)
def test_the_fake_quantized_model_and_the_packed_one_agree_to_rounding(
    choice, make_lab, tiny_bert, logits_of, watched, tokenizer, tmp_path
):
    model = tiny_bert()
    packed = low(**CHOICES[choice]).compress(model, make_lab(model))
    assert (logits_of(packed) - watched["fake"]).abs().max() <= 1e-5
    assert not torch.equal(watched["latent"], watched["fake"])
    save(packed, tmp_path / "a", tokenizer=tokenizer)
    again = load(tmp_path / "a").model
    assert torch.equal(logits_of(again), logits_of(packed))
    layers = [module for module in again.modules() if isinstance(module, (LowBitLinear, LowBitEmbedding))]
    assert len(layers) == (25 if choice != "everything" else 25 + 4)
    wanted = CHOICES[choice].get("scheme__activation_bits", 32)
    assert {layer.activation_bits for layer in layers if isinstance(layer, LowBitLinear)} == {wanted}
    latent = [name for name, tensor in again.state_dict().items() if tensor.is_floating_point() and tensor.dim() == 2]
    assert not any("encoder" in name and name.endswith("weight") for name in latent)


INTEGERS = [
    {"scheme": "dynamic"},
    {"scheme": "static"},
    {"scheme": "static", "activation_range": "moving-average"},
]


@pytest.mark.parametrize("arguments", INTEGERS)
def test_the_integer_kernels_give_what_was_trained_on(arguments, make_lab, tiny_bert, logits_of, watched):
    model = tiny_bert()
    with torch.no_grad():
        for parameter in model.bert.encoder.parameters():
            parameter.mul_(4 if parameter.dim() == 2 else 1)
    found = Quantize(budget=1.0, **arguments).compress(model, make_lab())
    same = 1e-5
    assert (logits_of(found) - watched["fake"]).abs().max() <= same
    # Rounding moves the outputs by more than what counts as the same, or the line above could not fail.
    assert (watched["latent"] - watched["fake"]).abs().max() > 2 * same


def test_ranges_follow_batches_of_training_by_the_formula_and_freeze_in_evaluation(linear):
    rounding = MovingInputs(8, momentum=0.9)
    aware = AwareTraining([], {linear: rounding})
    batches = [torch.tensor([[float(top)] * 11 + [-1.0]]) for top in (1, 3, 2)]
    expected = None
    with aware.listening():
        linear.train()
        for batch in batches:
            linear(batch)
            top = float(batch.max())
            expected = top if expected is None else 0.9 * expected + 0.1 * top
            assert float(rounding.high) == pytest.approx(expected, rel=1e-6)
        linear.eval()
        linear(torch.full((1, 12), 50.0))
    assert float(rounding.high) == pytest.approx(expected, rel=1e-6)
    assert float(rounding.low) == pytest.approx(-1.0)
    kept = rounding.stored()
    assert type(kept) is InputRounding
    assert float(kept(torch.tensor([50.0]))) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(MethodError, match="no input in training"):
        MovingInputs(momentum=0.9).stored()


def test_a_learned_step_of_weights_starts_and_moves_as_published(linear):
    with torch.no_grad():
        linear.weight[:, 0] *= 30
    latent = linear.weight.detach().clone()
    bits, most = 3, 3
    aware = AwareTraining([matrix(linear.weight, bits=bits, groups=8, range="learned")])
    (one,) = aware._latent
    start = one.step.detach().clone()
    expected = 2 * latent.abs().mean(dim=1, keepdim=True) / math.sqrt(most)
    torch.testing.assert_close(start, expected)
    step = start.clone().requires_grad_()
    scaled = latent / step
    inside = scaled.detach().abs() <= most
    assert inside.any()
    assert not inside.all()
    # Straight-through: round has the gradient of the identity.
    rounded = (
        torch.where(inside, scaled + (scaled.round() - scaled).detach(), scaled.detach().clamp(-most, most)) * step
    )
    (inputs() @ rounded.t() + linear.bias.detach()).square().sum().backward()
    seen = {}
    real = one.pull

    def pull():
        real()
        seen["step"] = one.step.grad.clone()

    one.pull = pull
    found = stepped(aware, linear, inputs())
    torch.testing.assert_close(seen["step"], step.grad / math.sqrt(12 * most), rtol=1e-4, atol=1e-6)
    assert (found["weight"][~inside] == 0).all()
    moved = (one.step.detach() - start).abs()
    torch.testing.assert_close(
        moved, torch.full_like(moved, 1e-2 * float(latent.square().mean().sqrt())), rtol=1e-3, atol=0
    )


def test_a_learned_step_of_inputs_has_the_published_gradient():
    rounding = LearnedInputs(3)
    values = torch.randn(40, generator=torch.Generator().manual_seed(2))
    values[0] = 40.0
    values.requires_grad_()
    rounding.watch(values.detach())
    assert float(rounding.step.detach()) == pytest.approx(
        2 * float(values.detach().abs().mean()) / math.sqrt(3), rel=1e-6
    )
    weights = torch.linspace(-1, 2, 40)
    (rounding(values) * weights).sum().backward()
    scaled = (values / rounding.step).detach()
    inside = scaled.abs() <= 3
    assert 0 < int(inside.sum()) < 40
    each = torch.where(inside, scaled.round() - scaled, 3 * scaled.sign())
    assert float(rounding.step.grad) == pytest.approx(float((weights * each).sum()) / math.sqrt(40 * 3), rel=1e-4)
    assert torch.equal(values.grad, weights * inside)


def test_loss_aware_weights_are_rounded_by_the_curvature_that_the_optimizer_has_found(linear):
    aware = AwareTraining([matrix(linear.weight, bits=2, grid="loss-aware-ternary")])
    optimizer = AdamW(linear.parameters(), lr=1e-3)
    state = TrainState(model=linear, optimizer=optimizer, step=0, total_steps=2, kind=KINDS.get("classification"))
    plain = aware.coded(linear.weight).values()
    with aware.listening():
        for step in range(2):
            state.step = step
            aware.before_step(state)
            linear(inputs() * torch.logspace(-2, 2, 12)).square().sum().backward()
            aware.after_backward(state)
            optimizer.step()
            optimizer.zero_grad()
    state.step = 2
    aware.on_evaluate(state)
    moments = optimizer.state[linear.weight]["exp_avg_sq"].sqrt()
    expected = quantizer(grid="loss-aware-ternary").code(linear.weight, matrix(linear.weight).cells, 2, moments=moments)
    assert torch.equal(aware.coded(linear.weight).values(), expected.values())
    assert not torch.equal(plain.abs().max(), expected.values().abs().max())


def test_a_word_that_training_never_saw_keeps_its_weights():
    weights = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    curvature = torch.ones(4, 6)
    curvature[2] = 0
    cells = Cells(rows=4, columns=6, groups=4, bucket=6)
    chosen = quantizer(grid="loss-aware-ternary")
    found = chosen.code(weights, cells, 2, moments=curvature).values()
    assert torch.equal(found, chosen.code(weights, cells, 2, moments=torch.ones(4, 6)).values())
    assert (found[2] != 0).any()


@pytest.mark.parametrize("grid", ["symmetric", "affine", "interval", "power-of-two", "ternary", "binary", "codebook"])
@pytest.mark.parametrize(("groups", "bucket"), [(1, 33), (24, 33), (5, 33), (24, 10)])
def test_the_fast_way_to_rounded_weights_gives_what_the_codes_stand_for(grid, groups, bucket):
    weights = torch.randn(24, 33, generator=torch.Generator().manual_seed(0))
    cells = Cells(rows=24, columns=33, groups=groups, bucket=bucket)
    bits = {"ternary": 2, "binary": 1}.get(grid, 3)
    chosen = quantizer(grid=grid)
    assert torch.equal(chosen.rounded(weights, cells, bits), chosen.code(weights, cells, bits).values())


def test_shared_layers_and_a_failing_training_leave_latent_weights(make_lab, tiny_bert):
    from bench.base.errors import TrainingError

    model = tiny_bert()
    before = model.bert.encoder.layer[0].output.dense.weight.detach().clone()
    with torch.no_grad():
        model.classifier.weight.fill_(float("nan"))
    weight = model.bert.encoder.layer[0].output.dense.weight
    aware = AwareTraining([matrix(weight, bits=2)])
    with pytest.raises(TrainingError):
        train_aware(low(), model, make_lab(), aware)
    assert torch.equal(weight, before) or bool(torch.isnan(weight).any())
    assert len(torch.unique(weight)) > 3
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_float_products_of_rounded_inputs_claim_no_narrow_operations(make_lab, tiny_bert):
    model, ids = tiny_bert(), {"input_ids": torch.zeros(1, 8, dtype=torch.long)}
    packed = low(budget=0.0, scheme__activation_bits=8).compress(model, make_lab())
    before, after = trace(model, ids), trace(packed, ids)
    assert not after.uncounted
    assert (after.macs, after.bops) == (before.macs, before.bops)


@pytest.mark.parametrize("activation_range", ["min-max", "moving-average", "clip"])
def test_fixed_ranges_of_inputs_are_found_without_training_too(activation_range, make_lab, tiny_bert, logits_of):
    model = tiny_bert()
    method = low(budget=0.0, **FIXED, activation_range=activation_range)
    packed = method.compress(model, make_lab())
    layers = [module for module in packed.modules() if isinstance(module, LowBitLinear)]
    assert all(layer.inputs.span == "fixed" and float(layer.inputs.high) > 0 for layer in layers)
    torch.testing.assert_close(logits_of(packed), logits_of(model), rtol=0, atol=0.05)
    assert not torch.equal(logits_of(packed), logits_of(low(budget=0.0).compress(model, make_lab())))


def test_inputs_of_factorized_layers_are_refused_and_their_weights_train(make_lab, tiny_bert, logits_of):
    lab = make_lab()
    thin = Factorize(rank=8, budget=0).compress(tiny_bert(), lab)
    with pytest.raises(MethodError, match="is factorized"):
        low(scheme__activation_bits=8).compress(thin, lab)
    assert torch.isfinite(logits_of(low(bits=4).compress(thin, lab))).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"range": "moving-average"}, "averages over batches of activations"),
        ({"range": "learned", "budget": 0.0}, "is learned, but a budget of 0 trains nothing"),
        ({"range": "learned", "grid": "affine"}, "learns the step of a symmetric grid"),
        (
            {"activation_range": "learned", **FIXED, "scheme__activation_grid": "affine"},
            "learns the step of a symmetric grid",
        ),
        ({"activation_range": "moving-average"}, "without activation_bits"),
        ({"activation_range": "percentile", "scheme__activation_bits": 8}, "needs activation_span 'fixed'"),
        (
            {"scheme": "static", "targets": ROLES, "scheme__activation_bits": 8},
            "no argument of quantization scheme 'static' named 'activation_bits'.*argument of .* and 'weights'",
        ),
        ({"scheme": "dynamic", "targets": ROLES, "activation_range": "moving-average"}, "finds a range at each call"),
        (
            {"scheme": "dynamic", "targets": ROLES, "scheme__rest": True},
            "It is an argument of quantization scheme 'weights'",
        ),
        ({"range__percent": 99.0}, "named 'percent'.*It is an argument of range 'percentile'"),
        ({"granularity__count": 4}, "named 'count'.*It is an argument of granularity 'groups'"),
    ],
)
def test_arguments_of_training_that_do_not_go_together_are_refused(arguments, says):
    with pytest.raises(ValidationError, match=says):
        low(**arguments)


def test_arguments_of_training_are_named_only_where_they_are_used():
    assert low().stated() == {"scheme": "weights", "targets": [*ALL], "budget": 1.0}
    assert low(budget=0.0, scheme__rest=True).stated() == {
        "scheme": {"name": "weights", "rest": True},
        "targets": [*ALL],
    }
