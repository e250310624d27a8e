"""The recipes of TernaryBERT and BinaryBERT on a tiny model: what they train, and what is stored at the end."""

from __future__ import annotations

import pytest
import torch
from made_terms import guided

from bench.layers.composite import SumEmbedding, SumLinear
from bench.layers.low_bit import LowBitEmbedding, LowBitLinear
from bench.methods.quantize.activations import rounded_inputs
from bench.methods.quantize.aware import trained
from bench.methods.quantize.quantize import Quantize
from bench.methods.quantize.site import find_sites
from bench.models.modules import copy_model
from bench.plan.recipes import load_recipe, methods_of
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS
from bench.training.objective import Objective

KIND = KINDS.get("classification")


def stage(name="ternarybert", **overrides):
    *_, last = methods_of(load_recipe(name, overrides))
    assert isinstance(last, Quantize)
    return last


def ternary_training(lab, **overrides):
    """A model in the midst of its work: trained as the recipe says, its latent weights still there."""
    method = stage(**overrides)
    work = method.work(copy_model(lab.reference), lab)
    sites = find_sites(work.model, method.targets)
    scheme = method.scheme
    inputs = rounded_inputs(
        work, sites, bits=scheme.activation_bits, grid=scheme.activation_grid, span=scheme.activation_span
    )
    return work, sites, trained(work, sites, {site.name: method.bits for site in sites}, inputs)


@pytest.mark.parametrize("grid", ["ternary", "loss-aware-ternary"])
def test_every_group_has_exactly_three_values_and_the_best_scale_for_its_support(grid, make_lab, tiny_bert):
    _, sites, aware = ternary_training(make_lab(tiny_bert()), grid=grid)
    groups = 0
    for site in sites:
        (weight,) = site.weights.values()
        coded = aware.coded(weight)
        cells = coded.coding.cells
        moments = aware._of[weight]._moments
        curvature = torch.ones_like(weight) if grid == "ternary" else moments
        parts = (cells.split(each) for each in (weight.detach(), coded.values(), curvature))
        for latent, values, importance in zip(*parts, strict=True):
            scale = values.max()
            if not latent.any():
                continue  # padding
            groups += 1
            assert set(values.unique().tolist()) == {-scale.item(), 0.0, scale.item()}
            kept = values != 0
            if not importance[kept].any():
                continue  # a word that training never saw has no curvature, and any scale is as good
            error = lambda factor: float((importance * (latent - values * factor).square()).sum())  # noqa: B023, E731
            assert error(1.0) < min(error(0.98), error(1.02))
    assert groups == 4 * 6 + 99


def test_each_word_has_a_scale_of_its_own_and_each_matrix_one(make_lab, tiny_bert):
    packed = stage().compress(tiny_bert(), make_lab())
    layers = [module for module in packed.modules() if isinstance(module, LowBitLinear)]
    (table,) = (module for module in packed.modules() if isinstance(module, LowBitEmbedding))
    assert len(layers) == 4 * 6
    assert all((layer.scale.shape, layer.coding.bits, layer.activation_bits) == ((1, 1), 2, 8) for layer in layers)
    assert table.scale.shape == (100, 1)
    assert len(table.scale.unique()) > 90


def test_curvature_changes_what_is_kept(make_lab, tiny_bert):
    lab = make_lab(tiny_bert())
    plain, aware = (stage(grid=grid).compress(lab.reference, lab) for grid in ("ternary", "loss-aware-ternary"))
    layers = [
        [module.dense() != 0 for module in model.modules() if isinstance(module, LowBitLinear)]
        for model in (plain, aware)
    ]
    assert sum(int((one != other).sum()) for one, other in zip(*layers, strict=True)) > 100


def test_what_is_packed_is_what_ran_in_evaluation(make_lab, tiny_bert, logits_of):
    lab = make_lab(tiny_bert())
    work, _, aware = ternary_training(lab)
    with aware.standing():
        fake = logits_of(work.model)
    torch.testing.assert_close(logits_of(stage().compress(lab.reference, lab)), fake, rtol=0, atol=1e-5)


def test_the_objective_is_half_of_the_sum_of_all_terms_without_labels(make_lab, tiny_bert, monkeypatch):
    lab, seen = make_lab(tiny_bert(seed=1)), []
    monkeypatch.setattr(
        "bench.methods.base.method.Lab.train", lambda self, model, **given: seen.append(given["objective"])
    )
    stage().compress(lab.reference, lab)
    (objective,) = seen
    batch, student = collate(lab.features[:6], pad_id=0), tiny_bert(seed=2)
    outputs = student(**batch.inputs)
    parts = {"states": {"reduce": "sum"}, "attention-scores": {"reduce": "sum"}, "logits": 1.0}
    wanted = guided(parts, lab.reference).loss(student, batch, outputs, KIND)
    assert isinstance(objective, Objective)
    assert objective.loss(student, batch, outputs, KIND).item() == pytest.approx(0.5 * wanted.item(), rel=1e-5)


def test_the_teacher_runs_once_a_batch_for_all_terms(make_lab, tiny_bert, monkeypatch):
    lab, seen, runs = make_lab(tiny_bert(seed=1)), [], []
    monkeypatch.setattr(
        "bench.methods.base.method.Lab.train", lambda self, model, **given: seen.append(given["objective"])
    )
    stage().compress(lab.reference, lab)
    lab.reference.register_forward_hook(lambda *given: runs.append(given))
    student = tiny_bert(seed=2)
    for rows in ([0, 1, 2], [3, 4, 5]):
        batch = collate(lab.features[:6], pad_id=0, rows=rows)
        seen[0].loss(student, batch, student(**batch.inputs), KIND)
    assert len(runs) == 2


def test_binarybert_cuts_every_layer_to_half_its_width_and_stores_pairs_of_binary_matrices(make_lab, tiny_bert):
    model = tiny_bert()
    lab = make_lab(model)
    for method in methods_of(load_recipe("binarybert")):
        model = method.compress(model, lab)
    pairs = [module for module in model.modules() if isinstance(module, SumLinear)]
    assert [(pair.out_features, pair.in_features) for pair in pairs] == 4 * [
        *[(16, 32)] * 3,
        (32, 16),
        (32, 32),
        (32, 32),
    ]
    (table,) = (module for module in model.modules() if isinstance(module, SumEmbedding))
    assert table.second.scale.shape == (100, 1)
    assert all((pair.weight_bits, pair.activation_bits) == (1, 8) for pair in pairs)
    assert stage("binarybert", **{"scheme.activation_bits": 4}).scheme.activation_bits == 4
    with torch.no_grad():
        assert torch.isfinite(model(**collate(lab.features[:6], pad_id=0).inputs).logits).all()
