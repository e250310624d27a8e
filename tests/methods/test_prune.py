from __future__ import annotations

import pytest
import torch
from made_pruning import prune

from bench.base.errors import MethodError
from bench.methods.prune.prune import Prune
from bench.methods.quantize.quantize import Quantize
from bench.models.adapter import adapter_for


def encoder_weights(model):
    return torch.cat([module.weight.detach().flatten() for module in adapter_for(model).linears(model).values()])


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_sparsity_of_the_encoder_is_met_after_retraining(make_lab, tiny_bert, scope, sparsity):
    pruned = Prune(sparsity=sparsity, scope=scope).compress(tiny_bert(), make_lab())
    weights = encoder_weights(pruned)
    matrices = 1 if scope == "global" else 24
    assert abs(int((weights == 0).sum()) - sparsity * len(weights)) <= matrices


def test_without_retraining_the_survivors_are_exactly_the_largest_and_untouched(make_lab, tiny_bert):
    model = tiny_bert()
    pruned = Prune(sparsity=0.75, budget=0).compress(model, make_lab())
    before, after = encoder_weights(model), encoder_weights(pruned)
    stays = before.abs().sort(descending=True).indices[: round(0.25 * len(before))]
    assert set(after.nonzero().flatten().tolist()) == set(stays.tolist())
    assert torch.equal(after[stays], before[stays])


def test_retraining_moves_survivors_and_no_zero(make_lab, tiny_bert):
    model = tiny_bert()
    first = encoder_weights(Prune(sparsity=0.5, budget=0).compress(model, make_lab()))
    tuned = encoder_weights(Prune(sparsity=0.5, budget=2).compress(model, make_lab()))
    assert torch.equal(first == 0, tuned == 0)
    assert (tuned[tuned == 0].view(torch.int32) == 0).all()  # +0.0, bit for bit
    assert not torch.equal(first, tuned)


def test_embeddings_norms_pooler_and_head_are_not_pruned(make_lab, tiny_bert):
    model = tiny_bert()
    pruned = Prune(sparsity=0.9, budget=0).compress(model, make_lab())
    targets = set(adapter_for(model).linears(model))
    for name, tensor in pruned.state_dict().items():
        if name.removesuffix(".weight") not in targets:
            assert torch.equal(tensor, model.state_dict()[name])


def test_rounds_reach_the_same_sparsity_by_equal_factors(make_lab, tiny_bert, monkeypatch):
    lab = make_lab()
    seen = []
    monkeypatch.setattr(
        Prune,
        "tune",
        lambda self, model, lab, **options: seen.append((encoder_weights(model) == 0).float().mean().item()),
    )
    prune(sparsity=0.875, schedule__rounds=3).compress(tiny_bert(), lab)
    assert seen == pytest.approx([0.5, 0.75, 0.875], abs=1e-4)


def test_pruning_a_quantized_model_is_refused(make_lab, tiny_bert):
    lab = make_lab()
    quantized = Quantize().compress(tiny_bert(), lab)
    with pytest.raises(MethodError, match="Prune before quantizing"):
        Prune(sparsity=0.5).compress(quantized, lab)
