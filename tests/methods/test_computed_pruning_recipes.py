"""The recipes of computed saliencies, recurrent schedules and LayerDrop, run on tiny models from end to end."""

from __future__ import annotations

import pytest
import torch
from made_pruning import lab_of, made

from bench.methods.prune.sparsify import Sparsify
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of

RUNS = [
    ("obd", "bert", 0.75),
    ("iterative-magnitude", "bert", 0.8),
    ("see-pruning", "bench-lstm-seq2seq", 0.8),
    ("gradual-rnn", "bench-lstm-lm", 0.9),
    ("block-sparse-rnn", "bench-lstm-lm", None),
    ("rejuvenation", "marian", 0.0),
    ("jacobian-rnn", "bench-bilstm", 0.95),
    ("michel-heads", "encoder-decoder", None),
    ("layerdrop", "marian", 0.0),
    ("two-to-four", "bert", 0.5),
]


@pytest.mark.parametrize(("recipe", "name", "share"), RUNS)
def test_the_recipe_runs_and_zeroes_what_it_says(make_lab, recipe, name, share):
    lab = lab_of(name, make_lab, epochs=2.0)
    model = lab.reference
    for method in methods_of(
        load_recipe(recipe, {"saliency.examples": 8} if recipe in ("obd", "michel-heads", "jacobian-rnn") else None)
    ):
        elsewhere = isinstance(method, Sparsify)
        model = (method.model_copy(update={"dense_elsewhere": True}) if elsewhere else method).compress(model, lab)
    if share is not None and recipe != "two-to-four":
        adapter = adapter_for(model)
        roles = None if recipe != "see-pruning" else ["input_gates", "hidden_gates", "softmax"]
        weights = torch.cat([module.weight.flatten() for module in adapter.linears(model, roles).values()])
        # A threshold meets its share as far as the fresh weights are distributed as the reference's.
        assert float((weights == 0).float().mean()) == pytest.approx(
            share, abs=0.1 if recipe == "gradual-rnn" else 1e-3
        )
    assert sum(parameter.numel() for parameter in model.parameters()) <= sum(
        parameter.numel() for parameter in made(name).parameters()
    )


def test_heads_are_cut_out_after_they_were_masked(make_lab):
    lab = lab_of("bert", make_lab)
    prune, shrink = methods_of(load_recipe("michel-heads", {"saliency.examples": 8}))
    masked = prune.compress(lab.reference, lab)
    cut = shrink.compress(masked, lab)
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        torch.testing.assert_close(cut(input_ids=ids).logits, masked(input_ids=ids).logits, atol=1e-5, rtol=1e-5)
    heads = sum(module.weight.shape[1] for module in adapter_for(cut).linears(cut, ["attention_output"]).values()) // 8
    assert heads == 16 - 6
    # 4 H d weights and 3 d biases a head of width d.
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (masked, cut)]
    assert sizes[0] - sizes[1] == 6 * (4 * 32 * 8 + 3 * 8)
