"""Models beside a given one: its head in other sizes and architectures, its body under another head."""

from __future__ import annotations

import pytest
import torch
from families import ENCODERS, make, outputs

from bench.base.errors import ModelError
from bench.models.adapter import adapter_for
from bench.models.bodies import beside, carry_body, resized, under_head
from bench.models.heads import head_of
from bench.models.source import label_settings

HEADS = {
    "sequence-classification": {"labels": 3},
    "question-answering": {"labels": 2},
    "masked-language-modelling": {},
    "embedding": {"embedding_pooling": "cls", "embedding_similarity": "dot"},
}
SIZES = {"hidden_size": 24, "num_hidden_layers": 1, "intra_bottleneck_size": 12, "embedding_size": 12}


@pytest.mark.parametrize("head", HEADS)
def test_another_architecture_has_the_same_head_and_another_size_too(head):
    model = make("bert", head, **HEADS[head])
    other = beside(model, "mobilebert", {**SIZES, "vocab_size": 40}, seed=0)
    small = resized(model, {"layers": 1, "width": 16, "heads": 2, "neurons": 8}, seed=0)
    assert type(small) is type(model)
    for each in (other, small):
        assert head_of(each) == head
        vectors = head == "embedding"  # as wide as the states, which differ
        assert outputs(each)[0].shape[: 1 if vectors else None] == outputs(model)[0].shape[: 1 if vectors else None]
        assert each.config.num_labels == model.config.num_labels
    if head == "embedding":
        assert (other.config.embedding_pooling, other.config.embedding_similarity) == ("cls", "dot")


@pytest.mark.parametrize("labels", [None, ("no", "yes", "perhaps")])
def test_labels_and_the_sort_of_problem_are_told_to_the_other_model(labels):
    model = make("bert")
    model = beside(model, "bert", {"vocab_size": 40, **label_settings("sequence-classification", labels)}, seed=0)
    for other in (
        beside(model, "bench-state-bilstm", {"vocab_size": 40}, seed=0),
        resized(model, {"layers": 1}, seed=0),
    ):
        assert other.config.num_labels == len(labels or ("score",))
        assert other.config.problem_type == model.config.problem_type
        assert other.config.id2label == model.config.id2label
        assert outputs(other)[0].shape == (2, len(labels or ("score",)))


@pytest.mark.parametrize("family", ENCODERS)
def test_the_body_goes_under_another_head_and_back(family):
    model = make(family)
    masked = under_head(model, "masked-language-modelling", seed=0)
    assert head_of(masked) == "masked-language-modelling"
    prefix = f"{model.base_model_prefix}."
    body = {name for name in masked.state_dict() if name.startswith(prefix)}
    own = model.state_dict()
    assert all(torch.equal(masked.state_dict()[name], own[name]) for name in body)
    with torch.no_grad():
        for parameter in masked.parameters():
            parameter.add_(1.0)
    before = {name: tensor.clone() for name, tensor in own.items()}
    carry_body(masked, model)
    after = model.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == body & after.keys()
    assert not [name for name in body if ".pooler." in name]


def test_a_body_of_another_form_is_refused_with_the_tensor():
    with pytest.raises(ModelError, match=r"word_embeddings\.weight' is \[40, 32\] here and \[40, 16\] there"):
        carry_body(make("bert", hidden_size=16), make("bert"))
    with pytest.raises(ModelError, match=r"encoder\.layer\.2\.\S+' is \[\d+(, \d+)?\] here and absent there"):
        carry_body(make("bert", num_hidden_layers=2), make("bert"))
    model = make("bert")
    layer = adapter_for(model).layers(model)[0]
    layer.intermediate.dense.weight = torch.nn.Parameter(layer.intermediate.dense.weight[:60].detach().clone())
    with pytest.raises(ModelError, match="Only models whose modules are as their configuration makes them"):
        under_head(model, "masked-language-modelling", seed=0)


def test_fresh_weights_leave_the_global_random_state_as_it_was():
    model = make("bert")
    before = torch.random.get_rng_state()
    beside(model, "bench-state-bilstm", {"vocab_size": 40}, seed=3)
    resized(model, {"layers": 1}, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
