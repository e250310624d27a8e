from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.methods.prune.selectors import SELECTORS
from bench.methods.prune.site import Site, SitePiece
from bench.tasks.kinds.kind import KINDS
from bench.training.hooks import TrainState
from bench.training.masks import MaskHook, apply_masks
from bench.training.optimizer import make_optimizer


def magnitude_masks(weights, *, sparsity, scope):
    """Masks over the weights of matrices, the largest magnitudes staying."""
    sites = [
        Site(name=name, kind="", pieces=(SitePiece(name=name, parameter=nn.Parameter(weight), cell=(1, 1)),))
        for name, weight in weights.items()
    ]
    scores = {name: weight.detach().abs().flatten() for name, weight in weights.items()}
    masks = SELECTORS.get(scope)().select(sites, scores, sparsity)
    return {name: masks[name].view_as(weight) for name, weight in weights.items()}


def matrices(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {"a": torch.randn(7, 5, generator=generator), "b": 3 * torch.randn(4, 6, generator=generator)}


@pytest.mark.parametrize("sparsity", [0.0, 0.01, 0.37, 0.5, 0.9, 0.999])
def test_what_stays_is_exactly_the_largest_over_all_matrices(sparsity):
    weights = matrices()
    masks = magnitude_masks(weights, sparsity=sparsity, scope="global")
    magnitudes = sorted(abs(value) for weight in weights.values() for value in weight.flatten().tolist())
    stays = sorted(abs(value) for name in weights for value in weights[name][masks[name]].tolist())
    assert stays == magnitudes[round(sparsity * 59) :]


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_layer_scope_gives_every_matrix_the_same_sparsity(sparsity):
    weights = matrices()
    masks = magnitude_masks(weights, sparsity=sparsity, scope="layer")
    for name, weight in weights.items():
        magnitudes = sorted(weight.abs().flatten().tolist())
        assert sorted(weight[masks[name]].abs().tolist()) == magnitudes[round(sparsity * weight.numel()) :]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.floats(0, 1, exclude_max=True, allow_subnormal=False))
def test_ties_never_change_how_many_stay(values, sparsity):
    weight = torch.tensor(values, dtype=torch.float32)[None]
    mask = magnitude_masks({"w": weight}, sparsity=sparsity, scope="global")["w"]
    assert int(mask.sum()) == len(values) - round(sparsity * len(values))
    if mask.any() and not mask.all():
        assert weight.abs()[mask].min() >= weight.abs()[~mask].max()


def test_removed_weights_are_positive_zeros():
    layer = nn.Linear(8, 8)
    masks = magnitude_masks({"w": layer.weight}, sparsity=0.5, scope="global")
    apply_masks({"w": layer.weight}, masks)
    gone = layer.weight.detach()[~masks["w"]]
    assert (gone.view(torch.int32) == 0).all()


def test_zeros_survive_momentum_gathered_before_and_weight_decay():
    torch.manual_seed(0)
    layer = nn.Linear(16, 8)
    optimizer = make_optimizer(layer, learning_rate=1e-2, weight_decay=0.5)
    state = TrainState(model=layer, optimizer=optimizer, step=0, total_steps=20, kind=KINDS.get("classification"))

    def step(hook=None):
        (layer(torch.randn(4, 16)) ** 2).sum().backward()
        if hook:
            hook.after_backward(state)
        optimizer.step()
        optimizer.zero_grad()
        if hook:
            hook.after_step(state)

    for _ in range(5):
        step()
    masks = magnitude_masks({"w": layer.weight}, sparsity=0.75, scope="global")
    apply_masks({"w": layer.weight}, masks)
    kept = layer.weight.detach()[masks["w"]].clone()
    hook = MaskHook({"w": layer.weight}, masks)
    for _ in range(15):
        step(hook)
        assert (layer.weight.detach()[~masks["w"]].view(torch.int32) == 0).all()
    assert not torch.equal(layer.weight.detach()[masks["w"]], kept)


def test_gradients_of_removed_weights_do_not_count_in_clipping():
    layer = nn.Linear(2, 1, bias=False)
    state = TrainState(
        model=layer,
        optimizer=make_optimizer(layer, learning_rate=1.0, weight_decay=0.0),
        step=0,
        total_steps=1,
        kind=KINDS.get("classification"),
    )
    layer.weight.grad = torch.tensor([[5.0, 7.0]])
    MaskHook({"w": layer.weight}, {"w": torch.tensor([[True, False]])}).after_backward(state)
    assert layer.weight.grad.tolist() == [[5.0, 0.0]]
