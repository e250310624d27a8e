"""A trained head keeps its meaning: its outputs are matched to the task's labels by name, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from architectures import make_model
from families import ENCODERS, make, outputs

from bench.artifacts import artifact
from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.layers.factorized import FactorizedLinear
from bench.layers.int8 import Int8Linear
from bench.models.adapter import adapter_for
from bench.models.heads import order_outputs
from bench.models.label_names import FRESH, names_of, order_of
from bench.models.modules import replace_module
from bench.models.tokenizer import write_tokenizer
from bench.spec.suite import load_suite

SENTIMENT = ("negative", "positive")
NLI = ("entailment", "neutral", "contradiction")


@pytest.fixture
def folder(tmp_path, tokenizer):
    """A function that saves a model, its outputs called `names`, and gives the folder as text."""

    def write(model, names=None, *, form="checkpoint"):
        path = tmp_path / form
        if names is not None:
            model.config.id2label = dict(enumerate(names))
            model.config.label2id = {name: index for index, name in enumerate(names)}
        if form == "artifact":
            artifact.save(model, path, tokenizer=tokenizer)
        else:
            model.save_pretrained(path)
            write_tokenizer(tokenizer, path)
        return str(path)

    return write


def build(path, labels=SENTIMENT, *, outputs=(), seed=0, head="sequence-classification"):
    source = open_source(path, outputs=outputs)
    return source.build(head=head, labels=labels, tokenizer=source.tokenizer(list), seed=seed)


def logits(model):
    return outputs(model)[0]


@pytest.mark.parametrize(
    ("names", "labels", "order"),
    [
        (("negative", "positive"), SENTIMENT, [0, 1]),
        (("positive", "negative"), SENTIMENT, [1, 0]),
        (("POS", "Neg"), SENTIMENT, [1, 0]),
        (("0", "1"), SENTIMENT, [0, 1]),
        (("1", "0"), SENTIMENT, [1, 0]),
        (("contradiction", "entailment", "neutral"), NLI, [1, 2, 0]),
        (("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), NLI, [2, 1, 0]),
        (("not entailment", "Entailment"), ("entailment", "not_entailment"), [1, 0]),
        (("non-entailment", "entails"), ("entailment", "not_entailment"), [1, 0]),
        (("NotEntailment", "ENTAILMENT"), ("not_entailment", "entailment"), [0, 1]),
        (("paraphrase", "not_paraphrase"), ("not_equivalent", "equivalent"), [1, 0]),
        (("no", "yes"), ("not_equivalent", "equivalent"), [0, 1]),
        (("duplicate", "not duplicate"), ("not_duplicate", "duplicate"), [1, 0]),
        (("acceptable", "unacceptable"), ("unacceptable", "acceptable"), [1, 0]),
        (("card_arrival", "Top up failed"), ("top-up_failed", "card arrival"), [1, 0]),
        (("-1", "+1"), ("+1", "-1"), [1, 0]),
    ],
)
def test_usual_spellings_are_one_name(names, labels, order):
    assert order_of(names, labels) == order


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("positive", "pos"), SENTIMENT),
        (("positive", "other"), SENTIMENT),
        (("joy", "anger"), SENTIMENT),
        (("negative",), SENTIMENT),
        (("negative", "neutral", "positive"), SENTIMENT),
        (("0", "1"), ("entailment", "not_entailment")),  # GLUE numbers RTE and WNLI the other way round
        (("yes", "no"), ("entailment", "not_entailment")),
        (("-1", "1"), SENTIMENT),
        (("entailment", "contradiction"), ("entailment", "not_entailment")),
    ],
)
def test_names_that_are_not_the_labels_are_not_matched(names, labels):
    assert order_of(names, labels) is None


@pytest.mark.parametrize("suite", ["glue", "demo"])
def test_the_labels_of_every_task_are_their_own_spellings(suite):
    for task in load_suite(suite).tasks:
        backwards = task.labels[::-1]
        assert order_of(task.labels, task.labels) == list(range(len(task.labels)))
        assert order_of(backwards, task.labels) == list(range(len(task.labels)))[::-1]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, None),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, None),
        ({"id2label": {"0": "label 1", "1": "label 0"}}, None),
        ({"id2label": {"1": "b", "0": "a"}}, ("a", "b")),
        ({"id2label": {"1": "b", "2": "c"}}, None),
        ({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"b": 0, "a": 1}}, ("b", "a")),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}, ("a", "b")),
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 1, "b": 0}}, None),
        ({"id2label": None}, None),
        ({"id2label": ["a", "b"]}, None),
    ],
)
def test_names_are_read_from_a_configuration_if_they_mean_something_and_agree(settings, names):
    assert names_of(settings) == names


@pytest.mark.parametrize("form", ["checkpoint", "artifact"])
@pytest.mark.parametrize("family", ENCODERS)
def test_outputs_change_places_with_their_names(family, form, folder):
    model = make(family, labels=3)
    path = folder(model, ("contradiction", "Entailment", "neutral"), form=form)
    built = build(path, NLI)
    assert torch.equal(logits(built), logits(model)[:, [1, 2, 0]])
    assert built.config.id2label == dict(enumerate(NLI))
    assert built.config.label2id == {name: index for index, name in enumerate(NLI)}


def test_so_do_those_of_a_classifier_that_transformers_does_not_have(folder):
    path = folder(make_model("bench-bilstm"), ("contradiction", "entailment", "neutral"))
    given, built = make_model("bench-bilstm").classifier, build(path, NLI).classifier
    assert torch.equal(built.weight, given.weight[[1, 2, 0]])
    assert torch.equal(built.bias, given.bias[[1, 2, 0]])


def test_a_shallower_student_has_them_in_the_same_order(folder):
    model = make("bert", labels=2)
    source = open_source(folder(model, ("positive", "negative")))
    student = source.build(
        head="sequence-classification", labels=SENTIMENT, tokenizer=source.tokenizer(list), seed=0, depth=2
    )
    assert torch.equal(student.classifier.weight, model.classifier.weight.flip(0))


@pytest.mark.parametrize("form", ["checkpoint", "artifact"])
@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("LABEL_0", "LABEL_1"), "config.json does not name them"),
        (("joy", "anger"), "config.json calls them joy, anger"),
    ],
)
def test_a_head_whose_outputs_cannot_be_told_apart_asks_for_their_names(names, says, form, folder):
    path = folder(make("bert", labels=2), names, form=form)
    with pytest.raises(ModelError, match=says) as caught:
        build(path)
    assert "--labels negative,positive" in str(caught.value)
    assert "negative, positive" in str(caught.value)


@pytest.mark.parametrize("form", ["checkpoint", "artifact"])
def test_names_that_the_user_gives_count_in_place_of_the_files(form, folder):
    model = make("bert", labels=2)
    path = folder(model, ("LABEL_0", "LABEL_1"), form=form)
    assert torch.equal(logits(build(path, outputs=SENTIMENT)), logits(model))
    assert torch.equal(logits(build(path, outputs=("positive", "neg"))), logits(model).flip(1))
    for wrong in (("negative", "negative"), ("negative", "neutral", "positive")):
        with pytest.raises(ModelError, match=f"--labels calls them {', '.join(wrong)}"):
            build(path, outputs=wrong)


def test_a_new_head_can_be_asked_for_and_depends_on_the_seed(folder):
    model = make("bert", labels=2)
    path = folder(model, ("joy", "anger"))
    one, two, other = (build(path, outputs=FRESH, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.classifier.weight, two.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    assert not torch.equal(one.classifier.weight, model.classifier.weight)
    assert torch.equal(one.bert.pooler.dense.weight, model.bert.pooler.dense.weight)
    assert not one.training


@pytest.mark.parametrize("plain", [True, False])
def test_a_plain_artifact_can_be_given_a_fresh_head_and_another_one_keeps_its_own(folder, plain):
    model = make("bert", labels=2)
    if not plain:
        model.classifier = FactorizedLinear(32, 2, 1)
    path = folder(model, SENTIMENT, form="artifact")
    if plain:
        assert not torch.equal(logits(build(path, outputs=FRESH)), logits(model))
    else:
        with pytest.raises(ModelError, match="leave out '--labels fresh'"):
            build(path, outputs=FRESH)


def test_a_model_without_a_head_needs_no_names(folder):
    model = make("bert", labels=2)
    path = folder(model.bert, ("LABEL_0", "LABEL_1"))
    built = build(path)
    assert torch.equal(built.bert.pooler.dense.weight, model.bert.pooler.dense.weight)


@pytest.mark.parametrize("names", [("LABEL_0", "LABEL_1"), ("joy", "anger")])
@pytest.mark.parametrize("labels", [NLI, None])
def test_nor_does_a_head_with_another_number_of_outputs(names, labels, folder):
    assert build(folder(make("bert", labels=2), names), labels).classifier.out_features == (3 if labels else 1)


def test_the_one_output_of_a_regression_needs_none(folder):
    model = make("bert", labels=1)
    assert torch.equal(logits(build(folder(model, ("LABEL_0",)), None)), logits(model))


def test_names_for_a_built_in_model_or_a_checkpoint_without_a_head_are_refused(folder):
    with pytest.raises(ModelError, match="leave out --labels"):
        open_source("demo-bert", outputs=SENTIMENT)
    with pytest.raises(ModelError, match="has no trained head"):
        build(folder(make("bert", labels=2).bert), outputs=SENTIMENT)


def test_outputs_of_a_head_in_a_stored_form_stay_or_are_refused():
    model = make("bert", labels=2)
    replace_module(model, "classifier", Int8Linear.from_float(model.classifier.weight, model.classifier.bias))
    order_outputs(model, [0, 1], where="m")
    with pytest.raises(ModelError, match="'classifier' is stored as Int8Linear, whose outputs cannot be reordered"):
        order_outputs(model, [1, 0], where="m")


def test_what_was_compressed_is_matched_too(folder):
    model = make("bert", labels=2)
    for name, linear in adapter_for(model).linears(model).items():
        replace_module(model, name, Int8Linear.from_float(linear.weight, linear.bias))
    path = folder(model, ("positive", "negative"), form="artifact")
    assert torch.equal(logits(build(path)), logits(model).flip(1))


def test_a_question_answering_head_is_told_by_its_place(folder):
    model = make("bert", "question-answering", labels=2)
    built = build(folder(model, ("LABEL_0", "LABEL_1")), None, head="question-answering")
    assert torch.equal(built.qa_outputs.weight, model.qa_outputs.weight)


def test_a_configuration_without_names_is_one_of_numbers(folder):
    path = folder(make("bert", labels=2), SENTIMENT)
    file = Path(path) / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("id2label") == {"0": "negative", "1": "positive"}
    config.pop("label2id")
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="does not name them"):
        build(path)
