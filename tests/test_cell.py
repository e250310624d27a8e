"""The keys under which a cell is filed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cell import Conditions, plan
from bench.errors import ModelError
from bench.models.tokenizer import write_tokenizer
from bench.recipe import load_recipe
from bench.suite import load_suite


def cell_of(**changes):
    suite = load_suite("demo", overrides=[(key.replace("__", "."), value) for key, value in changes.items()])
    given = {"model": "demo-bert", "recipes": [load_recipe("none")], "seeds": [0], "conditions": Conditions()}
    return plan(suite, tasks=suite.tasks[:1], **given)[0]


def test_a_cell_that_skips_measures_is_another_record_of_the_same_artifact():
    whole, fewer, none = cell_of(), cell_of(measuring__skip=["latency", "carbon"]), cell_of(measuring__skip=[])
    assert fewer.key != whole.key == none.key
    assert fewer.artifact_place == whole.artifact_place
    assert cell_of(measuring__skip=["carbon", "latency"]).key == fewer.key


@pytest.fixture
def checkpoint(tmp_path, tokenizer):
    """A function that saves a model, its outputs called `names`, and gives the folder as text."""

    def write(model, names=("negative", "positive"), name="model"):
        model.config.id2label = dict(enumerate(names))
        model.save_pretrained(tmp_path / name)
        write_tokenizer(tokenizer, tmp_path / name)
        return str(tmp_path / name)

    return write


def cell_on(model, *, task="sentiment", outputs=()):
    suite = load_suite("demo")
    given = {"recipes": [load_recipe("none")], "seeds": [0], "conditions": Conditions(outputs=outputs)}
    return plan(suite, tasks=[suite.task(task)], model=model, **given)[0]


def test_names_of_the_outputs_are_part_of_the_key_only_if_they_are_given(checkpoint, tiny_bert):
    model = checkpoint(tiny_bert())
    plain, named, turned = (cell_on(model, outputs=each) for each in ((), ("negative", "positive"), ("pos", "neg")))
    assert len({cell.key for cell in (plain, named, turned)}) == 3
    assert len({cell.reference_place for cell in (plain, named, turned)}) == 3


def test_a_model_in_half_precision_is_another_record_of_the_same_artifact(checkpoint, tiny_bert):
    cell = cell_on(checkpoint(tiny_bert().half()))
    assert cell.held.widened_bytes > 0
    without = replace(cell, held=None)
    assert cell.key != without.key
    assert cell.artifact_place == without.artifact_place
    whole = cell_on(checkpoint(tiny_bert(), name="whole"))
    assert whole.held.widened_bytes == 0
    assert whole.key == replace(whole, held=None).key


def test_a_head_that_cannot_be_told_is_refused_before_anything_is_trained(checkpoint, tiny_bert):
    model = checkpoint(tiny_bert(), ("LABEL_0", "LABEL_1"))
    with pytest.raises(ModelError, match="--labels negative,positive"):
        cell_on(model)
    assert cell_on(model, outputs=("positive", "negative")).conditions.outputs == ("positive", "negative")


def test_so_are_weights_that_do_not_fit(checkpoint, tiny_bert):
    model = checkpoint(tiny_bert())
    path = Path(model) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 48}))
    for task in ("sentiment", "similarity"):
        with pytest.raises(ModelError, match=r"is \[64, 32\] in the file and \[48, 32\] by config\.json"):
            cell_on(model, task=task)
