"""An artifact as the model of another run: a plain one gets the head of any task, others keep theirs."""

from __future__ import annotations

import pytest
import torch
from families import make, same_outputs

from bench.artifacts.artifact import content_hash, is_plain, save
from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.layers.sharing import slots
from bench.models.adapter import adapter_for

MASKED = "masked-language-modelling"


@pytest.fixture
def distilled(tmp_path, tokenizer):
    """A masked language model of two layers, stored, and its path."""
    model = make("bert", MASKED, num_hidden_layers=2)
    save(model, tmp_path / "distilled", tokenizer=tokenizer)
    return model, tmp_path / "distilled"


def built(path, head, tokenizer, *, labels=None, outputs=(), seed=0):
    source = open_source(str(path), outputs=outputs)
    return source.build(head=head, labels=labels, tokenizer=tokenizer, seed=seed)


def body(model):
    return dict(getattr(model, model.base_model_prefix).named_parameters())


def test_a_distilled_encoder_is_the_start_of_another_task_with_a_fresh_head(distilled, tokenizer):
    model, path = distilled
    one, again, other = (
        built(path, "sequence-classification", tokenizer, labels=("no", "yes"), seed=seed) for seed in (0, 0, 1)
    )
    mine, its = body(model), body(one)
    assert {name.split(".")[0] for name in its.keys() - mine.keys()} == {"pooler"}
    assert all(torch.equal(parameter, its[name]) for name, parameter in mine.items())
    assert one.config.id2label == {0: "no", 1: "yes"}
    assert same_outputs(one, again)
    assert not same_outputs(one, other)
    assert adapter_for(one).depth(one) == 2


def test_with_the_head_that_it_has_it_stays_as_it_is(distilled, tokenizer):
    model, path = distilled
    assert same_outputs(built(path, MASKED, tokenizer), model)


def test_it_is_named_by_its_content_and_knows_its_head(distilled):
    _, path = distilled
    source = open_source(str(path))
    assert source.kind == "artifact"
    assert source.fingerprint() == content_hash(path)
    assert source.stores_head(MASKED)
    assert not source.stores_head("sequence-classification")


def test_a_classifier_gets_other_labels_if_the_user_says_that_its_head_is_to_be_new(tmp_path, tokenizer):
    model = make("bert", labels=3)
    save(model, tmp_path / "student", tokenizer=tokenizer)
    fresh = built(tmp_path / "student", "sequence-classification", tokenizer, labels=("a", "b"), outputs=("fresh",))
    assert fresh.config.num_labels == 2
    layers = [adapter_for(each).layers(each) for each in (model, fresh)]
    for mine, its in zip(*layers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), its.parameters(), strict=True))


def test_an_artifact_of_other_forms_keeps_its_head(tmp_path, tokenizer):
    model = make("bert", MASKED)
    adapter = adapter_for(model)
    first = adapter.layers(model)[0]
    adapter.set_layers(model, [first, first])
    assert slots(model)
    save(model, tmp_path / "shared", tokenizer=tokenizer)
    assert not is_plain(tmp_path / "shared")
    with pytest.raises(ModelError, match="Only an artifact of stock modules with plain weights"):
        built(tmp_path / "shared", "sequence-classification", tokenizer, labels=("no", "yes"))
