from __future__ import annotations

import dataclasses

import pytest
import torch
from made_pruning import lab_of, made, prune, sites_of, subject_of

from bench.base.errors import MethodError
from bench.methods.prune.jacobian import STEPS, norms
from bench.methods.prune.prune import Prune
from bench.methods.prune.saliencies import SALIENCIES

RECURRENT = ("bench-lstm-lm", "bench-lstm-seq2seq", "bench-bilstm")


def scores(model, subject):
    found = SALIENCIES.get("jacobian")(examples=12).scores(sites_of(model, "weight"), subject)
    return torch.cat([*found.values()])


def test_of_a_linear_network_the_norm_is_that_of_a_power_of_its_matrix_times_ones():
    torch.manual_seed(0)
    matrix, inputs = torch.randn(6, 6) / 3, torch.randn(5, 4, 6)

    def roll(hidden):
        for step in range(4):
            hidden = hidden @ matrix.t() + inputs[:, step]
        return hidden

    wanted = (torch.linalg.matrix_power(matrix, 4) @ torch.ones(6)).norm()
    torch.testing.assert_close(norms(roll, torch.randn(5, 6)), wanted.expand(5))


def test_of_an_lstm_the_norm_is_that_of_autograds_jacobian_times_ones():
    layer = made("bench-lstm-lm").model.layers[0]
    layer.hidden_gates.register_forward_hook(lambda *_: None)  # the fused kernel has no second derivative
    inputs, start = torch.randn(2, STEPS, 32), torch.randn(2, 2, 32)

    def roll(hidden):
        return layer(inputs, torch.stack([hidden, start[:, 1]], dim=1))[1][:, 0]

    full = torch.autograd.functional.jacobian(roll, start[:, 0])  # [batch, width, batch, width]
    wanted = torch.stack([full[row, :, row].sum(1).norm() for row in range(2)])
    torch.testing.assert_close(norms(roll, start[:, 0]), wanted)


def test_the_score_is_the_sensitivity_of_the_norm_over_the_usual_size_of_the_gradient(make_lab):
    model = made("bench-bilstm")
    subject = subject_of("bench-bilstm", make_lab, model=model)
    layer = model.model.layers[0].ahead
    ids = torch.tensor([subject.lab.features[0].inputs["input_ids"]])
    embedded = model.model.embed_tokens(ids).detach()
    state = layer(embedded[:, :-STEPS])[1].detach()
    layer.hidden_gates.register_forward_hook(lambda *_: None)

    def roll(hidden):
        return layer(embedded[:, -STEPS:], torch.stack([hidden, state[:, 1]], dim=1))[1][:, 0]

    weight = layer.hidden_gates.weight
    (above,) = torch.autograd.grad(norms(roll, state[:, 0]).sum(), weight)
    (below,) = torch.autograd.grad(roll(state[:, 0]).sum(), weight)
    wanted = (weight.detach() * above).abs() / below.abs()
    name = "model.layers.0.ahead.hidden_gates.weight"
    found = SALIENCIES.get("jacobian")(examples=1).scores(sites_of(model, "weight"), subject)[name]
    torch.testing.assert_close(found, wanted.flatten(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", RECURRENT)
def test_neither_labels_nor_the_order_of_the_examples_matter(make_lab, name):
    model = made(name)
    subject = subject_of(name, make_lab, model=model)
    found = scores(model, subject)
    assert torch.isfinite(found).all()
    assert (found > 0).float().mean() > 0.95
    features = subject.lab.features[:12]
    other = [
        dataclasses.replace(
            feature,
            targets={key: [0] * len(value) if isinstance(value, list) else 1 for key, value in feature.targets.items()},
        )
        for feature in reversed(features)
    ]
    lab = dataclasses.replace(subject.lab, features=other)
    torch.testing.assert_close(scores(model, dataclasses.replace(subject, lab=lab)), found, rtol=1e-3, atol=1e-6)


def test_survivors_are_spread_over_the_four_gates(make_lab):
    lab = lab_of("bench-lstm-lm", make_lab)
    method = prune(
        sparsity=0.9, saliency="jacobian", saliency__examples=12, start="fresh", schedule__before=False, budget=0
    )
    from bench.models.recurrent.language_model import LstmConfig, LstmForCausalLM

    torch.manual_seed(0)
    fresh = LstmForCausalLM(LstmConfig(vocab_size=40, hidden_size=32, num_hidden_layers=2)).eval()
    object.__setattr__(lab, "fresh", lambda depth, pretrained: fresh)
    pruned = method.compress(lab.reference, lab)
    rows = torch.cat([layer.hidden_gates.weight.view(4, -1) != 0 for layer in pruned.model.layers], dim=1)
    rows = torch.cat([rows, *(layer.input_gates.weight.view(4, -1) != 0 for layer in pruned.model.layers)], dim=1)
    shares = rows.float().sum(1) / rows.sum()
    assert float(rows.float().mean()) == pytest.approx(0.1, abs=1e-3)
    assert float(shares.max()) < 0.25 + 0.25
    assert float(shares.min()) > 0.05


def test_a_transformer_has_no_recurrent_jacobian(make_lab):
    model = made("bert")
    with pytest.raises(MethodError, match="scores the gates of recurrent layers"):
        scores(model, subject_of("bert", make_lab, model=model))


def test_the_softmax_of_a_recurrent_model_is_no_gate(make_lab):
    model = made("bench-lstm-lm")
    method = Prune(sparsity=0.5, saliency="jacobian", targets=("softmax",), budget=0)
    with pytest.raises(MethodError, match=r"lm_head\.weight of LstmForCausalLM is not one"):
        method.compress(model, lab_of("bench-lstm-lm", make_lab, model=model))


@pytest.mark.parametrize("name", RECURRENT)
def test_pruning_before_training_then_trains_what_is_left(make_lab, name):
    reference = made(name)
    lab = lab_of(name, make_lab, model=reference)
    method = prune(
        sparsity=0.9, saliency="jacobian", saliency__examples=8, start="fresh", schedule__before=False, budget=1.0
    )
    pruned = method.compress(reference, lab)
    fresh = lab.fresh(2, False)
    gone, moved, total = 0, 0, 0
    for now, before in zip(sites_of(pruned, "weight"), sites_of(fresh, "weight"), strict=True):
        weights, start = now.pieces[0].parameter, before.pieces[0].parameter
        gone += int((weights == 0).sum())
        moved += int(((weights != 0) & (weights != start)).sum())
        total += weights.numel()
    assert gone / total == pytest.approx(0.9, abs=1e-3)
    assert moved > 0.09 * total
