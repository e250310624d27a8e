"""A recipe whose first stage distils on a corpus: what its keys hold, and what its stages say they used."""

from __future__ import annotations

import pytest
from made_films import FILMS, write_films

from bench.artifacts.artifact import load
from bench.artifacts.manifest import read_manifest
from bench.artifacts.store import Store
from bench.engine.jobs import CompressJob, TrainJob
from bench.engine.worker import compress, train_reference
from bench.models.adapter import adapter_for
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import load_recipe
from bench.spec.suite import load_suite
from bench.tasks.data import load_data
from bench.tasks.examples import write_data

SUITE = f"""{FILMS}
[[tasks]]
name = "corpus"
kind = "masked_language_modelling"
metrics = ["perplexity"]
data = {{ source = "corpus", subset = "glue/sst2+text/multi30k-en" }}
"""
RECIPE = """
title = "Tried"
family = "distillation"
cite = "none"
says = "Tried."
[[stages]]
method = "distill"
data = { name = "corpus", task = "corpus", tuned = 1.0 }
terms = { labels = 2.0, logits = 5.0 }
[[stages]]
method = "distill"
student = "same"
data = { name = "word-replacement", copies = 2 }
terms = { logits = 1.0 }
"""


@pytest.fixture
def folder(tmp_path):
    text = write_films(tmp_path)
    (tmp_path / "multi30k").mkdir()
    for split, count in (("train", 40), ("val", 10)):
        (tmp_path / "multi30k" / f"{split}.en").write_text("\n".join(text() for _ in range(count)) + "\n")
    (tmp_path / "tried.toml").write_text(SUITE)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def cell_of(folder, recipe=None):
    suite = load_suite(str(folder / "tried.toml"))
    (cell,) = plan(
        suite,
        tasks=suite.tasks[:1],
        model="demo-bert",
        recipes=[load_recipe(str(folder / "recipe.toml") if recipe is None else recipe)],
        seeds=[0],
        conditions=Conditions(data_dir=folder),
    )
    return cell


def test_the_keys_of_the_stages_name_the_texts_of_the_corpus(folder):
    before, plain = cell_of(folder), cell_of(folder, "distillation")
    captions = folder / "multi30k" / "train.en"
    captions.write_text(captions.read_text() + "one more text\n")
    after, still = cell_of(folder), cell_of(folder, "distillation")
    assert before.elsewhere.keys() == {"corpus"}
    assert before.reference_key == after.reference_key
    assert not set(before.stage_keys) & set(after.stage_keys)
    assert (plain.key, plain.stage_keys) == (still.key, still.stage_keys)


@pytest.mark.slow
def test_what_was_used_is_counted_and_named_in_the_stages_and_the_head_is_the_tasks(folder):
    cell, store = cell_of(folder), Store(folder / "store")
    data = store.path("data", "sst2")
    write_data(data, load_data(cell.task, data_dir=folder))
    given = {"cell": cell, "store": folder / "store", "data": data, "threads": 1, "alone": False}
    train_reference(TrainJob(**given), lambda text, share: None)
    compress(CompressJob(**given), lambda text, share: None)
    path = store.path(*cell.artifact_place)
    first, second = read_manifest(path).stages
    corpus = load_data(cell.suite.task("corpus"), data_dir=folder).splits["train"]
    assert first.counts == {"corpus_texts": len(corpus)}
    assert "glue/sst2+text/multi30k-en" in first.notes[0]
    assert 0 < second.counts["augmented_texts"] <= 80
    assert "beside them all 40 training examples, without their labels" in second.notes[0]
    reference = load(store.path(*cell.reference_place)).model
    artifact = load(path).model
    assert type(artifact) is type(reference)
    assert artifact.config.id2label == reference.config.id2label
    assert 2 * adapter_for(artifact).depth(artifact) == adapter_for(reference).depth(reference)
