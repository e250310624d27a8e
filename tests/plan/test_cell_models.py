"""What a model's files hold, and what the user says of its outputs, in the cells of a run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from families import make

from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.models.tokenizer import write_tokenizer
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import load_recipe
from bench.spec.suite import load_suite
from bench.tasks.data import load_data


@pytest.fixture
def checkpoint(tmp_path):
    """A function that saves a tiny BERT that knows the demo's words, its outputs called `names`: the folder as text."""

    def write(names=("negative", "positive"), *, name="model", half=False):
        rows = load_data(load_suite("demo").task("sentiment"), data_dir=None).splits["train"]
        tokenizer = open_source("demo-bert").tokenizer(lambda: (text for row in rows for text in row.texts))
        sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 128}
        model = make("bert", labels=2, id2label=dict(enumerate(names)), **sizes)
        (model.half() if half else model).save_pretrained(tmp_path / name)
        write_tokenizer(tokenizer, tmp_path / name)
        return str(tmp_path / name)

    return write


def cell_on(model, *, task="sentiment", outputs=()):
    suite = load_suite("demo")
    given = {"recipes": [load_recipe("none")], "seeds": [0], "conditions": Conditions(outputs=outputs)}
    return plan(suite, tasks=[suite.task(task)], model=model, **given)[0]


def test_names_of_the_outputs_are_part_of_the_key_only_if_they_are_given(checkpoint):
    model = checkpoint()
    plain, named, turned = (cell_on(model, outputs=each) for each in ((), ("negative", "positive"), ("pos", "neg")))
    assert len({cell.key for cell in (plain, named, turned)}) == 3
    assert len({cell.reference_place for cell in (plain, named, turned)}) == 3


def test_a_reference_whose_outputs_changed_places_is_not_one_that_was_made_when_they_did_not(checkpoint, monkeypatch):
    model = checkpoint(("positive", "negative"))
    turned = cell_on(model)
    assert (turned.held.order, turned.held.set_aside) == ((1, 0), False)
    straight = replace(turned.held, order=())
    monkeypatch.setattr("bench.models.checkpoint.CheckpointSource.held", lambda *_, **__: straight)
    assert cell_on(model).reference_place != turned.reference_place


def test_so_is_one_whose_head_was_set_aside(checkpoint):
    cell = cell_on(checkpoint(("joy", "anger")), outputs=("fresh",))
    assert (cell.held.order, cell.held.set_aside) == ((), True)
    assert cell_on(checkpoint(name="other")).held.set_aside is False


def test_a_model_in_half_precision_is_another_record_of_the_same_artifact(checkpoint):
    cell = cell_on(checkpoint(half=True))
    assert cell.held.widened_bytes > 0
    without = replace(cell, held=None)
    assert cell.key != without.key
    assert cell.artifact_place == without.artifact_place
    whole = cell_on(checkpoint(name="whole"))
    assert whole.held.widened_bytes == 0
    assert whole.key == replace(whole, held=None).key


def test_a_head_that_cannot_be_told_is_refused_before_anything_is_trained(checkpoint):
    model = checkpoint(("LABEL_0", "LABEL_1"))
    with pytest.raises(ModelError, match="--labels negative,positive"):
        cell_on(model)
    assert cell_on(model, outputs=("positive", "negative")).conditions.outputs == ("positive", "negative")


def test_so_are_weights_that_do_not_fit(checkpoint):
    model = checkpoint()
    path = Path(model) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 48}))
    for task in ("sentiment", "similarity"):
        with pytest.raises(ModelError, match=r"is \[64, 32\] in the file and \[48, 32\] by config\.json"):
            cell_on(model, task=task)
