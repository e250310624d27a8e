"""Distilled, replaced and plain small models."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.methods.base.depth import student_depth
from bench.methods.distill.distill import Distill
from bench.methods.prune.prune import Prune
from bench.methods.replace.replace import Replace
from bench.methods.shrink.shallow import Shallow
from bench.models.adapter import adapter_for

STEP = 1e-9  # a learning rate too small to move a weight visibly


ONLY_LOGITS = {"divergence": {"name": "kl", "temperature": 2.0}}


def afresh(weights):
    return {"name": "layers", "weights": weights}


def layers_of(model):
    return adapter_for(model).layers(model)


def close(first, second):
    return all(
        torch.allclose(tensor, second.state_dict()[name], atol=1e-6) for name, tensor in first.state_dict().items()
    )


@pytest.mark.parametrize(("layers", "depth", "expected"), [(None, 12, 6), (None, 4, 2), (3, 4, 3), (None, 3, 1)])
def test_the_depth_of_a_student_is_half_unless_given(layers, depth, expected):
    assert student_depth(layers, depth, where="x") == expected


@pytest.mark.parametrize(("layers", "depth"), [(5, 4), (None, 1)])
def test_a_student_that_is_not_smaller_is_refused(layers, depth):
    with pytest.raises(MethodError, match=f"x: layers is {layers or 0}, but the given model has {depth}"):
        student_depth(layers, depth, where="x")


def test_a_student_of_the_reference_starts_from_every_other_layer(make_lab, tiny_bert):
    model = tiny_bert()
    student = Distill(learning_rate=STEP).compress(model, make_lab(model))
    given = layers_of(model)
    assert len(layers_of(student)) == student.config.num_hidden_layers == 2
    assert close(layers_of(student)[0], given[1])
    assert close(layers_of(student)[1], given[3])
    assert close(student.classifier, model.classifier)


@pytest.mark.parametrize(("init", "seed"), [("source", 11), ("fresh", 12)])
def test_a_student_may_start_from_the_source_or_afresh(make_lab, tiny_bert, init, seed):
    model = tiny_bert()
    student = Distill(student={"name": "layers", "layers": 1, "weights": init}, learning_rate=STEP).compress(
        model, make_lab(model)
    )
    assert close(student, tiny_bert(layers=1, seed=seed))


def test_a_student_with_all_layers_fills_zeros_again_and_claims_no_saving(make_lab, tiny_bert):
    model = tiny_bert()
    pruned = Prune(sparsity=0.5, budget=0.0).compress(model, make_lab(model))
    method = Distill(student="same")
    filled = method.compress(pruned, make_lab(model))
    assert method.saving() == frozenset()
    assert len(layers_of(filled)) == len(layers_of(pruned)) == 4
    before, after = (layers_of(each)[0].output.dense.weight for each in (pruned, filled))
    assert (before == 0).float().mean() > 0.2
    assert (after == 0).float().mean() < 0.01
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Distill(student={"name": "layers", "layers": 0})


def test_distilling_brings_the_student_nearer_to_the_reference_than_labels_do(make_lab, tiny_bert, logits_of):
    model = tiny_bert(seed=3)
    with torch.no_grad():
        model.classifier.weight.mul_(30)
    lab = make_lab(model, epochs=8.0)

    def distance(student):
        soft = [torch.softmax(logits_of(one), dim=-1) for one in (model, student)]
        return (soft[0] - soft[1]).abs().mean().item()

    taught = Distill(terms={"logits": ONLY_LOGITS}, student=afresh("fresh"), learning_rate=3e-3).compress(model, lab)
    told = Shallow(init="fresh", learning_rate=3e-3).compress(model, lab)
    assert distance(taught) < distance(told)


@pytest.mark.parametrize(("init", "seed"), [("source", 11), ("fresh", 12)])
def test_a_shallow_model_has_nothing_of_the_reference(make_lab, tiny_bert, init, seed):
    model = tiny_bert()
    small = Shallow(init=init, learning_rate=STEP).compress(model, make_lab(model))
    assert close(small, tiny_bert(layers=2, seed=seed))


@pytest.mark.parametrize(
    "method",
    [Shallow(), Distill(student=afresh("fresh")), Distill(student=afresh("source"))],
    ids=["shallow", "d1", "d2"],
)
def test_starting_afresh_after_other_stages_is_refused(make_lab, tiny_bert, method):
    model = tiny_bert()
    lab = make_lab(model)
    pruned = Prune(sparsity=0.5, budget=0).compress(model, lab)
    with pytest.raises(MethodError, match="Make it the first stage"):
        method.compress(pruned, lab)


def test_successors_start_from_the_first_layers_and_nothing_else_changes(make_lab, tiny_bert):
    model = tiny_bert()
    replaced = Replace(learning_rate=STEP).compress(model, make_lab(model))
    assert len(layers_of(replaced)) == replaced.config.num_hidden_layers == 2
    assert close(layers_of(replaced)[0], layers_of(model)[0])
    assert close(layers_of(replaced)[1], layers_of(model)[1])


def test_replacing_trains_the_successors_alone(make_lab, tiny_bert, state_of):
    model = tiny_bert()
    replaced = Replace(budget=3).compress(model, make_lab(model))
    given = state_of(model)
    outside = {name for name in replaced.state_dict() if "encoder.layer" not in name}
    assert outside
    assert all(torch.equal(replaced.state_dict()[name], given[name]) for name in outside)
    assert not close(layers_of(replaced)[1], layers_of(model)[1])
    assert all(parameter.requires_grad for parameter in replaced.parameters())


def test_a_depth_that_does_not_divide_is_refused_with_those_that_do(make_lab, tiny_bert):
    with pytest.raises(
        MethodError, match=r"4 layers cannot form 3 groups of equal size\. Set layers to one of 1, 2, 4\."
    ):
        Replace(layers=3).compress(tiny_bert(), make_lab())
