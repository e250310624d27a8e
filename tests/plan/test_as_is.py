"""Models that are used as they are: which are taken, which are refused and why, and what keys they have."""

import json
from pathlib import Path

import pytest
from families import make
from made_checkpoints import demo_tokenizer, write_checkpoint

from bench.base.errors import ModelError, SuiteError
from bench.models.tokenizer import write_tokenizer
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import load_recipe
from bench.spec.suite import changed, load_suite


def cell_on(model, *, task="sentiment", recipe="none", epochs=None, **conditions):
    suite = load_suite("demo")
    if epochs is not None:
        suite = changed(suite, [("training.epochs", epochs)])
    given = {"recipes": [load_recipe(recipe)], "seeds": [0], "conditions": Conditions(**conditions)}
    return plan(suite, tasks=[suite.task(task)], model=str(model), **given)[0]


def test_a_trained_head_is_taken_and_its_reference_is_another_than_the_trained_one(tmp_path):
    model = write_checkpoint(tmp_path / "model")
    plain, as_it_is = cell_on(model), cell_on(model, as_is=True)
    assert (plain.as_is, as_it_is.as_is) == (False, True)
    assert plain.reference_key != as_it_is.reference_key


def test_no_epochs_are_the_same_as_asking_for_the_model_as_it_is(tmp_path):
    assert cell_on(write_checkpoint(tmp_path / "model"), epochs=0).as_is


def test_no_epochs_refuse_a_recipe_that_trains_by_name_and_as_is_does_not(tmp_path):
    model = write_checkpoint(tmp_path / "model")
    with pytest.raises(SuiteError, match=r"distillation: its stage 'distill' trains .* use --as-is"):
        cell_on(model, recipe="distillation", epochs=0)
    assert cell_on(model, recipe="distillation", as_is=True).as_is
    assert cell_on(model, recipe="int8", epochs=0).as_is


def test_outputs_in_another_order_are_told_by_their_names(tmp_path):
    turned = cell_on(write_checkpoint(tmp_path / "model", ("positive", "negative")), as_is=True)
    assert turned.held.order == (1, 0)


@pytest.mark.parametrize(
    ("names", "conditions", "message"),
    [
        (("LABEL_0", "LABEL_1"), {}, "--labels negative,positive"),
        (("good", "bad", "so-so"), {}, r"no trained head .*'classifier.weight' \[2, 32\]"),
        (("negative", "positive"), {"outputs": ("fresh",)}, "--labels fresh asks for a new head"),
    ],
)
def test_a_head_that_cannot_be_used_as_it_is_is_refused(tmp_path, names, conditions, message):
    with pytest.raises(ModelError, match=message):
        cell_on(write_checkpoint(tmp_path / "model", names), as_is=True, **conditions)


def test_a_body_without_a_head_is_refused(tmp_path):
    sizes = {"vocab_size": len(demo_tokenizer()), "max_position_embeddings": 128}
    make("bert", head="masked-language-modelling", **sizes).save_pretrained(tmp_path)
    write_tokenizer(demo_tokenizer(), tmp_path)
    with pytest.raises(ModelError, match=r"'classifier.weight'.* would be new"):
        cell_on(tmp_path, as_is=True)


def test_a_head_of_another_task_with_the_same_tensors_is_refused(tmp_path):
    folder = Path(write_checkpoint(tmp_path / "model"))
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "architectures": ["BertForTokenClassification"]}))
    with pytest.raises(ModelError, match="head is of another task"):
        cell_on(folder, as_is=True)


def test_a_built_in_model_is_untrained():
    with pytest.raises(ModelError, match="a built-in model is untrained"):
        cell_on("demo-bert", as_is=True)
