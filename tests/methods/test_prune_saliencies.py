from __future__ import annotations

import pytest
import torch
from made_pruning import lab_of, made, prune, pruning_of, sites_of, subject_of
from torch import nn

from bench.methods.prune import curvature
from bench.methods.prune.gradients import batches, one_by_one, parameters_of, slopes
from bench.methods.prune.saliencies import SALIENCIES, gate_gradients
from bench.methods.prune.site import Site, SitePiece
from bench.models.adapter import adapter_for
from bench.models.modules import differentiable

EVERY = ("bert", "distilbert", "marian", "encoder-decoder", "bench-lstm-seq2seq", "bench-lstm-lm", "bench-bilstm")
DATA_AWARE = ("obd", "fisher", "gate-gradient")


def hutchinson(loss, parameters, probes):
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    draws = torch.Generator().manual_seed(0)
    return curvature.hutchinson(gradients, parameters, probes=probes, draws=draws)


def test_on_a_separable_quadratic_the_saliency_is_the_exact_increase_of_the_loss(make_lab, monkeypatch):
    torch.manual_seed(0)
    bends = torch.rand(4, 5) + 0.1
    weight = nn.Parameter(torch.randn(4, 5))

    def loss(values):
        return 0.5 * (bends * (values - weight.detach()).square()).sum()  # its minimum is where the weights are

    (diagonal,) = hutchinson(loss(weight), [weight], probes=1)
    monkeypatch.setattr(curvature, "hessian_diagonal", lambda sites, subject, **more: {"w": diagonal})
    site = Site(name="w", kind="k", pieces=(SitePiece(name="w", parameter=weight, cell=(1, 1)),))
    found = SALIENCIES.get("obd")().scores([site], subject_of("bert", make_lab, model=made("bert")))["w"]
    increases = []
    for place in range(20):
        without = weight.detach().clone().flatten()
        without[place] = 0
        increases.append(loss(without.view(4, 5)))
    torch.testing.assert_close(found, torch.stack(increases))
    assert found.argsort().tolist() == torch.stack(increases).argsort().tolist()


def test_a_thousand_probes_come_within_five_percent_of_the_hessians_diagonal():
    torch.manual_seed(0)
    inputs, weight = torch.randn(200, 12), nn.Parameter(0.1 * torch.randn(12))

    def loss(values):
        return nn.functional.softplus(inputs @ values).mean()

    wanted = torch.autograd.functional.hessian(loss, weight.detach()).diagonal()
    (found,) = hutchinson(loss(weight), [weight], probes=1000)
    assert float((found - wanted).norm() / wanted.norm()) < 0.05
    (rough,) = hutchinson(loss(weight), [weight], probes=10)
    assert float((rough - wanted).norm()) > float((found - wanted).norm())


@pytest.mark.parametrize("name", ["bert", "bench-lstm-lm"])
def test_the_estimate_over_batches_agrees_with_autograds_hessian_of_a_network(make_lab, name):
    model = made(name)
    subject = subject_of(name, make_lab, model=model)
    site = sites_of(model, "weight")[0]
    with differentiable(model):
        listed = batches(subject, 12)
        total = sum(len(batch.rows) for batch in listed)
        exact = torch.zeros(6, 6)
        for batch in listed:
            (slope,) = slopes(subject, batch, [site.pieces[0].parameter], again=True)
            rows = [
                torch.autograd.grad(slope.flatten()[place], site.pieces[0].parameter, retain_graph=True)[0].flatten()[
                    :6
                ]
                for place in range(6)
            ]
            exact += torch.stack(rows) * len(batch.rows) / total
    found = curvature.hessian_diagonal([site], subject, examples=12, probes=15)[site.name].flatten()
    # The spread of one estimate over all weights bounds its error on these.
    other = subject_of(name, make_lab, model=model, seed=1)
    again = curvature.hessian_diagonal([site], other, examples=12, probes=15)[site.name]
    spread = float((found - again.flatten()).std()) / 2**0.5
    assert float((found[:6] - exact.diagonal()).abs().max()) < 5 * spread
    assert found.abs().max() > 5 * spread


def test_fisher_is_the_mean_of_squared_gradients_of_single_examples(make_lab):
    model = made("bert")
    subject = subject_of("bert", make_lab, model=model)
    sites = sites_of(model, "weight", targets=("ffn_out",))
    wanted = {site.name: 0 for site in sites}
    for feature in subject.lab.features[:12]:
        ids = torch.tensor([feature.inputs["input_ids"]])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        loss = nn.functional.cross_entropy(logits, torch.tensor([feature.targets["labels"]]))
        parameters = [site.pieces[0].parameter for site in sites]
        for site, slope in zip(sites, torch.autograd.grad(loss, parameters), strict=True):
            wanted[site.name] += slope.square() / 12
    found = SALIENCIES.get("fisher")(examples=12).scores(sites, subject)
    for site in sites:
        expected = 0.5 * wanted[site.name].flatten() * site.pieces[0].parameter.detach().flatten().square()
        # the floor touches only what hardly bends the loss
        torch.testing.assert_close(found[site.name], expected, rtol=1e-3, atol=float(expected.max()) * 1e-4)


def test_weights_without_curvature_go_first_in_the_order_of_their_magnitude(make_lab, monkeypatch):
    weight = nn.Parameter(torch.tensor([[3.0, 1.0, 2.0, 0.5]]))
    bends = torch.tensor([[-1.0, -2.0, -0.1, 1.0]])
    monkeypatch.setattr(curvature, "hessian_diagonal", lambda sites, subject, **more: {"w": bends})
    site = Site(name="w", kind="k", pieces=(SitePiece(name="w", parameter=weight, cell=(1, 1)),))
    found = SALIENCIES.get("obd")().scores([site], subject_of("bert", make_lab, model=made("bert")))["w"]
    assert found.argsort().tolist() == [1, 2, 0, 3]
    assert found[3] == 0.125


@pytest.mark.parametrize("saliency", DATA_AWARE)
@pytest.mark.parametrize("name", EVERY)
def test_scoring_works_on_every_architecture_and_leaves_no_trace(make_lab, name, saliency):
    model = made(name).train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    sites = sites_of(model, "weight")
    options = {"probes": 1} if saliency == "obd" else {}
    found = SALIENCIES.get(saliency)(examples=12, **options).scores(sites, subject_of(name, make_lab, model=model))
    assert all(torch.isfinite(score).all() and (score >= 0).all() for score in found.values())
    assert torch.cat([*found.values()]).unique().numel() > 1000
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", ["bert", "marian"])
def test_the_gradient_by_a_heads_gate_is_the_inner_product_of_its_output_with_the_losss_gradient(make_lab, name):
    from bench.tasks.kinds.kind import KINDS

    model = made(name)
    subject = subject_of(name, make_lab, model=model)
    sites = sites_of(model, "head")
    heard = {}

    def listen(key):
        def hook(module, inputs):
            heard[key] = inputs[0]
            heard[key].retain_grad()

        return hook

    outputs = {site.acting[0].name.removesuffix(".weight"): site for site in sites}
    for key in outputs:
        model.get_submodule(key).register_forward_pre_hook(listen(key))
    wanted = {site.name: torch.zeros(4) for site in sites}
    for batch in one_by_one(subject, 12):
        KINDS.get(subject.lab.task.kind).loss(model(**batch.inputs), batch.targets).backward()
        for key, site in outputs.items():
            products = (heard[key] * heard[key].grad).sum((0, 1))  # [width]
            wanted[site.name] += products.view(4, -1).sum(1).abs() / 12
        model.zero_grad()
    found = gate_gradients(sites, subject, 12)
    for site in sites:
        torch.testing.assert_close(found[site.name], wanted[site.name], rtol=1e-4, atol=1e-7)
    scores = SALIENCIES.get("gate-gradient")(examples=12).scores(sites, subject)
    for site in sites:
        torch.testing.assert_close(scores[site.name], wanted[site.name] / wanted[site.name].norm(), rtol=1e-4, atol=0)


def test_whole_feed_forward_parts_are_normalised_together(make_lab):
    model = made("bert")
    sites = sites_of(model, "head+mlp")
    scores = SALIENCIES.get("gate-gradient")(examples=12).scores(sites, subject_of("bert", make_lab, model=model))
    parts = torch.cat([scores[site.name] for site in sites if site.kind == "mlp"])
    assert parts.numel() == 4
    assert float(parts.norm()) == pytest.approx(1.0)
    assert len(set(parts.tolist())) == 4


def test_heads_go_a_tenth_at_a_time_by_gradients_taken_anew(make_lab, monkeypatch):
    model = made("bert")
    lab = lab_of("bert", make_lab, model=model)
    object.__setattr__(lab, "train", lambda *_, **__: pytest.fail("it trained"))
    method = prune(
        sparsity=0.5,
        unit="head",
        saliency="gate-gradient",
        schedule__rounds=4,
        schedule__steps="linear",
        budget=0,
        saliency__examples=6,
    )
    saliency, seen = SALIENCIES.get("gate-gradient"), []
    scores = saliency.scores
    monkeypatch.setattr(
        saliency, "scores", lambda self, *given: seen.append(len(parameters_of(given[0]))) or scores(self, *given)
    )
    pruned = method.compress(model, lab)
    assert len(seen) == 4
    gone = [
        int((module.weight.view(32, 4, 8).abs().sum((0, 2)) == 0).sum())
        for module in adapter_for(pruned).linears(pruned, ["attention_output"]).values()
    ]
    assert sum(gone) == 8


def test_only_the_asked_number_of_examples_is_looked_at_once(make_lab):
    model = made("bert")
    runs = []
    model.register_forward_pre_hook(
        lambda module, inputs, named: runs.append(named["input_ids"].shape[0]), with_kwargs=True
    )
    subject = subject_of("bert", make_lab, model=model)
    for saliency in ("gate-gradient", "fisher", "obd"):
        runs.clear()
        SALIENCIES.get(saliency)(examples=7).scores(sites_of(model, "weight", targets=("ffn_out",)), subject)
        assert sum(runs) == 7


def test_what_bends_the_loss_most_is_kept(make_lab):
    model = made("bert")
    lab = lab_of("bert", make_lab, model=model)
    run = pruning_of(model, lab, saliency="obd", saliency__examples=12)
    scores = torch.cat([*run.scores().values()])
    run.cut(0.5)
    kept = torch.cat([run.masks[site.name] for site in run.sites])
    assert scores[kept].min() >= scores[~kept].max()
