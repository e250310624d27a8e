from __future__ import annotations

import pytest
import torch
from made_pruning import lab_of, made, prune, pruning_of, sites_of

from bench.base.errors import MethodError
from bench.methods.prune.prune import Prune
from bench.methods.prune.selectors import SELECTORS
from bench.models.adapter import adapter_for

TARGETS = ("input_gates", "hidden_gates", "embedding", "softmax")


def uneven():
    """An LSTM translator with untied tables whose classes of weights are of different sizes."""
    from architectures import make_model

    model = make_model("bench-lstm-seq2seq", tie_word_embeddings=False)
    with torch.no_grad():
        for site in sites_of(model, "weight", targets=TARGETS):
            site.pieces[0].parameter.mul_({"input_gates": 1.0, "hidden_gates": 3.0, "embedding": 0.5}.get(site.kind, 2))
    return model


def selected(model, make_lab, selector, **more):
    """The pruning after one cut of 40 %, and the weights by class, as they were and as they are."""
    arguments = {"sparsity": 0.4, "selector": selector, "targets": TARGETS, **more}
    run = pruning_of(model, lab_of("bench-lstm-seq2seq", make_lab, model=model), **arguments)
    before = classes(run)
    run.cut(0.4)
    return run, before, classes(run)


def classes(run):
    found = {}
    for site in run.sites:
        found.setdefault(site.kind, []).append(site.pieces[0].parameter.detach().clone().flatten())
    return {kind: torch.cat(parts) for kind, parts in found.items()}


def limits(before, after):
    """The largest weight that went and the smallest that stayed, of each class."""
    return {
        kind: (float(before[kind][after[kind] == 0].abs().max()), float(after[kind][after[kind] != 0].abs().min()))
        for kind in before
    }


def test_every_class_of_see_is_there(make_lab):
    _, before, after = selected(uneven(), make_lab, "global")
    assert set(before) == set(TARGETS)
    assert all((after[kind] == 0).any() for kind in after)


def test_class_blind_has_one_threshold_for_all_classes(make_lab):
    run, before, after = selected(uneven(), make_lab, "global")
    found = limits(before, after)
    assert max(gone for gone, _ in found.values()) <= min(stays for _, stays in found.values())
    assert run.sparsity == pytest.approx(0.4, abs=1e-4)
    shares = [float((weights == 0).float().mean()) for weights in after.values()]
    assert max(shares) - min(shares) > 0.2


def test_class_uniform_removes_the_same_share_of_each_class(make_lab):
    _, before, after = selected(uneven(), make_lab, "class")
    for kind, weights in after.items():
        assert int((weights == 0).sum()) == round(0.4 * len(before[kind]))


@pytest.mark.parametrize("selector", ["deviation", "layer-deviation"])
def test_thresholds_by_deviation_are_to_each_other_as_the_deviations(make_lab, selector):
    model = uneven()
    run, before, after = selected(model, make_lab, selector)
    if selector == "deviation":
        groups = {kind: (before[kind], after[kind]) for kind in before}
    else:
        fresh = uneven()
        groups = {
            now.name: (then.pieces[0].parameter.detach().flatten(), now.pieces[0].parameter.detach().flatten())
            for then, now in zip(sites_of(fresh, "weight", targets=TARGETS), run.sites, strict=True)
        }
    low, high = [], []
    for then, now in groups.values():
        sigma = float(then.std(correction=0))
        low.append(float(then[now == 0].abs().max()) / sigma)
        high.append(float(now[now != 0].abs().min()) / sigma)
    assert max(low) <= min(high) * (1 + 1e-5)
    assert run.sparsity == pytest.approx(0.4, abs=1e-4)


def test_a_matrix_of_equal_weights_has_no_deviation(make_lab):
    model = made("bench-lstm-lm")
    with torch.no_grad():
        model.model.layers[0].input_gates.weight.fill_(0.1)
    method = Prune(sparsity=0.4, selector="layer-deviation", budget=0)
    with pytest.raises(MethodError, match=r"layers\.0\.input_gates\.weight' are equal"):
        method.compress(model, lab_of("bench-lstm-lm", make_lab, model=model))


def test_of_every_four_neighbours_the_two_largest_stay(make_lab):
    model = made("bert")
    pruned = Prune(sparsity=0.5, selector="2:4", budget=0).compress(model, lab_of("bert", make_lab, model=model))
    given = adapter_for(model).linears(model)
    for name, module in adapter_for(pruned).linears(pruned).items():
        before, after = (weights.detach().view(-1, 4) for weights in (given[name].weight, module.weight))
        assert ((after != 0).sum(1) == 2).all()
        largest = before.abs().topk(2, dim=1).values.sum(1)
        torch.testing.assert_close(after.abs().sum(1), largest)


def test_retraining_keeps_the_pattern(make_lab):
    model = made("bert")
    pruned = Prune(sparsity=0.5, selector="2:4", budget=1.0).compress(model, lab_of("bert", make_lab, model=model))
    for module in adapter_for(pruned).linears(pruned).values():
        assert ((module.weight.view(-1, 4) != 0).sum(1) == 2).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"sparsity": 0.6}, "found sparsity 0.6"),
        ({"unit": "row"}, "2:4 needs unit 'weight'"),
        ({"schedule__rounds": 2}, "found sparsity"),
    ],
)
def test_two_to_four_has_one_sparsity_and_one_unit(make_lab, arguments, says):
    method = prune(**{"sparsity": 0.5, "selector": "2:4", "budget": 0, **arguments})
    with pytest.raises(MethodError, match=says):
        method.compress(made("bert"), lab_of("bert", make_lab))


@pytest.mark.parametrize("selector", [name for name in SELECTORS.names() if name != "2:4"])
def test_what_is_gone_stays_gone_whatever_selects(make_lab, selector):
    run = pruning_of(made("bert"), lab_of("bert", make_lab), selector=selector)
    run.cut(0.3)
    before = {name: mask.clone() for name, mask in run.masks.items()}
    run.cut(0.6)
    assert run.sparsity == pytest.approx(0.6, abs=1e-3)
    assert not any((run.masks[name] & ~before[name]).any() for name in before)
