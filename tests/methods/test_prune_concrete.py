"""Hard-concrete gates: their distribution, their price, and what is left of the model when they are gone."""

from __future__ import annotations

import pytest
import torch
from made_pruning import prune

from bench.methods.prune.concrete import HardConcrete
from bench.methods.prune.gates import GateHook, fold, train_gates
from bench.methods.prune.run import Pruning
from bench.models.adapter import adapter_for


def gated(**options):
    return prune(
        **{"saliency": "hard-concrete", "schedule": "gradual", "budget": 1, "schedule__settle_share": 0, **options}
    )


def diff(**options):
    return gated(
        **{
            "unit": "element",
            "delta": True,
            "start": "source",
            "sparsity": 0.995,
            "schedule__settle_share": 0.5,
            "saliency__temperature": 1.0,
            "saliency__stretch": (-1.5, 1.5),
            "saliency__start": 5.0,
            "saliency__groups": True,
            "saliency__penalty_weight": 10.0,
            "saliency__rate": 0.1,
            "budget": 2,
            **options,
        }
    )


@pytest.mark.parametrize(
    ("chance", "expected"),
    [(HardConcrete(), 0.832), (HardConcrete(temperature=0.33), 0.688), (HardConcrete(low=-1.5, high=1.5), 0.5)],
)
def test_the_price_is_the_probability_that_a_gate_is_open(chance, expected):
    draws = torch.Generator().manual_seed(0)
    for log_a in (0.0, -1.5, 1.0):
        parameter = torch.full((200_000,), log_a)
        share = float((chance.draw(parameter, draws) > 0).float().mean())
        assert share == pytest.approx(float(chance.open(parameter)[0]), abs=5e-3)
    assert float(chance.open(torch.zeros(()))) == pytest.approx(expected, abs=1e-3)


def test_gates_reach_both_ends_and_have_a_gradient_between_them():
    log_a = torch.zeros(10_000, requires_grad=True)
    drawn = HardConcrete().draw(log_a, torch.Generator().manual_seed(0))
    drawn.sum().backward()
    assert (drawn == 0).any()
    assert (drawn == 1).any()
    inside = (drawn > 0) & (drawn < 1)
    assert inside.any()
    assert (log_a.grad[inside] > 0).all()
    assert (log_a.grad[(drawn == 0) | (drawn == 1)] == 0).all()


def test_the_price_of_the_gates_is_their_mean_openness_and_pulls_at_every_score(make_lab, tiny_bert):
    pruning = Pruning(
        tiny_bert(layers=1), gated(unit="head", saliency__penalty_weight=3.0, saliency__start=0.0), make_lab()
    )
    gates = pruning.saliency.gates(pruning)
    price = gates.price()
    assert float(price.detach()) == pytest.approx(3.0 * 0.8318, abs=1e-3)
    price.backward()
    assert all((score.grad > 0).all() for score in gates.learned)


def test_scores_follow_the_gradient_of_the_loss_through_the_drawn_gates(make_lab, tiny_bert):
    lab = make_lab(examples=8)
    pruning = Pruning(tiny_bert(layers=1), gated(unit="head", saliency__start=0.0), lab)
    gates, twin = pruning.saliency.gates(pruning), pruning.saliency.gates(pruning)
    hook = GateHook(gates, rate=1.0, warmup=0.0, optimizer=lambda scores: torch.optim.SGD(scores, lr=1.0))
    seen = {}

    class Watch(GateHook):
        """Keeps the gradients towards the gated weights."""

        def __init__(self):
            pass

        def before_step(self, state):
            pass

        def after_backward(self, state):
            for site in pruning.sites:
                for piece in site.acting:
                    seen[piece.name] = piece.parameter.grad.clone()

        def after_step(self, state):
            pass

    before = pruning.snapshot()
    lab.train(pruning.model, hooks=[Watch(), hook])
    twin.multipliers(0, 1)
    for site in pruning.sites:
        pulls = {piece.name: seen[piece.name] * before[piece.name] for piece in site.acting}
        twin.learn(site.name, site.pooled(pulls, "sum", acting=True))
        moved = gates.scores[site.name].detach()
        assert moved.abs().max() > 0
        torch.testing.assert_close(moved, -twin.scores[site.name].grad)


@pytest.mark.parametrize("unit", ["weight", "head"])
def test_without_a_price_all_gates_stay_open_and_a_large_one_closes_all(make_lab, tiny_bert, unit):
    for weight, expected in ((0.0, 0.0), (1e6, 1.0)):
        told = []
        lab = make_lab()
        object.__setattr__(lab, "progress", lambda text, share, told=told: told.append(text))
        gated(unit=unit, saliency__penalty_weight=weight, budget=8, saliency__rate=0.4).compress(
            tiny_bert(layers=1), lab
        )
        assert f"{expected:.1%} of the units are removed" in told


def test_the_gates_without_noise_are_folded_into_what_stays(make_lab, tiny_bert):
    lab = make_lab()
    pruning = Pruning(tiny_bert(layers=1), gated(unit="head"), lab)
    gates = pruning.saliency.gates(pruning)
    before = pruning.snapshot()
    with torch.no_grad():
        gates.scores[pruning.sites[0].name].copy_(torch.tensor([-9.0, 0.0, 0.5, 9.0]))
    values = gates.certain()
    fold(pruning.sites, values, pruning.anchors)
    z = values[pruning.sites[0].name]
    assert z.tolist() == pytest.approx([0.0, 0.5, 0.6469512, 1.0])
    output = "bert.encoder.layer.0.attention.output.dense.weight"
    query = "bert.encoder.layer.0.attention.self.query.weight"
    state = pruning.model.state_dict()
    torch.testing.assert_close(state[output], before[output] * z.repeat_interleave(8))
    assert torch.equal(state[query], before[query])


def test_most_gates_of_heads_end_closed_or_open(make_lab, tiny_bert):
    lab = make_lab()
    method = gated(
        unit="head", saliency__temperature=0.33, saliency__penalty_weight=0.05, budget=12, saliency__rate=0.5
    )
    pruning = Pruning(tiny_bert(layers=2), method, lab)
    gates = pruning.saliency.gates(pruning)
    train_gates(pruning, gates, rate=0.5)
    values = torch.cat(list(gates.certain().values()))
    assert ((values < 0.1) | (values > 0.9)).float().mean() > 0.8


def test_a_closed_head_takes_its_inputs_along(make_lab, tiny_bert):
    lab = make_lab()
    method = gated(unit="head", saliency__temperature=0.33, saliency__penalty_weight=0.05, sparsity=0.25)
    pruned = method.compress(tiny_bert(layers=2), lab)
    columns = [layer.attention.output.dense.weight for layer in pruned.bert.encoder.layer]
    rows = [layer.attention.self.value for layer in pruned.bert.encoder.layer]
    gone = torch.stack([(weight == 0).view(32, 4, 8).all(2).all(0) for weight in columns])
    also = torch.stack([((each.weight == 0).all(1) & (each.bias == 0)).view(4, 8).all(1) for each in rows])
    assert torch.equal(gone, also)
    assert int(gone.sum()) == 2


def test_with_a_sparsity_the_gates_nearest_to_closing_go(make_lab, tiny_bert):
    pruned = gated(unit="weight", sparsity=0.7, saliency__penalty_weight=1.0).compress(tiny_bert(layers=2), make_lab())
    weights = torch.cat([module.weight.flatten() for module in adapter_for(pruned).linears(pruned).values()])
    assert int((weights == 0).sum()) == round(0.7 * len(weights))


def test_with_a_sparsity_a_large_price_closes_no_more_than_was_asked(make_lab, tiny_bert):
    told = []
    lab = make_lab()
    object.__setattr__(lab, "progress", lambda text, share: told.append(text))
    gated(unit="weight", saliency__penalty_weight=1e4, sparsity=0.5, budget=8, saliency__rate=0.1).compress(
        tiny_bert(layers=1), lab
    )
    gone = float(next(text for text in told if "of the units are removed" in text).split("%")[0])
    assert 50.0 <= gone < 60.0


def test_what_is_open_beyond_the_sparsity_is_priced(make_lab, tiny_bert):
    pruning = Pruning(tiny_bert(layers=1), gated(unit="head", saliency__penalty_weight=3.0, sparsity=0.25), make_lab())
    gates = pruning.saliency.gates(pruning)
    with torch.no_grad():
        for score in gates.scores.values():
            score.fill_(30.0)
    assert float(gates.price().detach()) == pytest.approx(3.0 * 0.25)
    with torch.no_grad():
        for score in gates.scores.values():
            score[:2] = -30.0
    assert float(gates.price().detach()) == 0.0


def test_diff_pruning_starts_as_the_pretrained_model(make_lab, tiny_bert, logits_of):
    source = tiny_bert()
    method = diff()
    pruning = Pruning(tiny_bert(), method, make_lab(), anchors=dict(source.named_parameters()))
    gates = pruning.saliency.gates(pruning)
    fold(pruning.sites, gates.multipliers(0, 1), {name: each.detach() for name, each in source.named_parameters()})
    assert torch.equal(logits_of(pruning.model), logits_of(source))


def test_diff_pruning_changes_half_a_percent_and_leaves_the_rest_bit_identical(make_lab, tiny_bert):
    lab = make_lab()
    reference = tiny_bert()
    pruned = diff().compress(reference, lab)
    pretrained = lab.fresh(4, True).state_dict()
    inside = {name: tensor for name, tensor in pruned.state_dict().items() if name.startswith("bert.")}
    changed = sum(int((tensor != pretrained[name]).sum()) for name, tensor in inside.items())
    total = sum(tensor.numel() for tensor in inside.values())
    assert 0 < changed <= total - round(0.995 * total)
    assert not torch.equal(pruned.classifier.weight, pretrained["classifier.weight"])


def test_a_closed_group_gate_closes_its_whole_tensor(make_lab, tiny_bert):
    pruning = Pruning(tiny_bert(layers=1), gated(saliency__groups=True), make_lab())
    gates = pruning.saliency.gates(pruning)
    name = pruning.sites[0].name
    with torch.no_grad():
        gates._groups[name].fill_(-9.0)
    assert (gates.certain()[name] == 0).all()
    assert all((value > 0).all() for other, value in gates.certain().items() if other != name)
    assert len(gates.learned) == 2 * len(pruning.sites)
