"""Pruning before, while or after fine-tuning: nothing at sparsity 0, and what comes back where it may."""

from __future__ import annotations

import pytest
import torch

from bench.methods.prune.prune import Prune
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of

SCHEDULES = (  # as in the suite study-gordon
    "gradual",
    {"name": "rounds", "before": False},
    {"name": "restore", "masked_share": 0.0},
)


def pruned(make_lab, tiny_bert, **arguments):
    model = tiny_bert()
    return methods_of(load_recipe("gordon", arguments))[0].compress(model, make_lab(model, epochs=4.0))


def shares(model):
    """The share of zeros in every pruned matrix."""
    adapter = adapter_for(model)
    weights = [module.weight for module in adapter.linears(model).values()] + [adapter.word_embedding(model).weight]
    return [(weight == 0).float().mean().item() for weight in weights]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_at_sparsity_zero_it_is_dense_fine_tuning_bit_for_bit(make_lab, tiny_bert, schedule):
    lab = make_lab(epochs=4.0)
    dense = lab.fresh(4, True)
    lab.train(dense)
    result = pruned(make_lab, tiny_bert, schedule=schedule, sparsity=0.0).state_dict()
    assert all(torch.equal(tensor, result[name]) for name, tensor in dense.state_dict().items())


@pytest.mark.parametrize("schedule", SCHEDULES[:2], ids=str)
def test_every_matrix_and_the_word_embedding_lose_the_same_share(make_lab, tiny_bert, schedule):
    assert shares(pruned(make_lab, tiny_bert, schedule=schedule, sparsity=0.7)) == pytest.approx([0.7] * 25, abs=1e-3)


def test_information_deletion_begins_with_the_cut_weights_and_all_may_come_back(make_lab, tiny_bert, monkeypatch):
    begins, masked = [], []
    train = Prune.tune

    def watched(self, model, lab, **more):
        begins.append(shares(model))
        masked.append(
            any(hook._masks and not all(mask.all() for mask in hook._masks.values()) for hook in more["hooks"])
        )
        train(self, model, lab, **more)

    monkeypatch.setattr(Prune, "tune", watched)
    restored = pruned(make_lab, tiny_bert, schedule=SCHEDULES[2], sparsity=0.7)
    assert begins[-1] == pytest.approx([0.7] * 25, abs=1e-3)
    assert not masked[-1]
    assert max(shares(restored)[:-1]) < 0.01  # unused rows of the embedding stay at zero


def test_a_half_of_the_training_is_masked_by_default(make_lab, tiny_bert, monkeypatch):
    seen = []
    monkeypatch.setattr(Prune, "tune", lambda self, model, lab, *, share, **more: seen.append(share))
    Prune(sparsity=0.5, schedule="restore").compress(tiny_bert(), make_lab())
    assert seen == [0.5, 0.5]
