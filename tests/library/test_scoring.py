"""Systems made elsewhere beside a reference: their scores by other libraries, and every task kind to a record."""

from __future__ import annotations

import shutil

import pytest
import torch
from made_answers import _CLASSIFIER
from made_checkpoints import demo_tokenizer, write_checkpoint
from made_collection import SUITE as COLLECTION
from made_collection import write_collection
from sklearn.metrics import accuracy_score
from test_new_kinds_run import MADE, MadeKinds, suite_of

import bench
from bench.artifacts.artifact import is_plain
from bench.artifacts.source import open_source
from bench.base.errors import ModelError
from bench.models.texts import CLOSED
from bench.spec.suite import Suite, load_suite
from bench.tasks.data import load_data, trained_on
from bench.tasks.kinds.kind import KINDS
from bench.tasks.sources.source import SOURCES

QUICK = {"measuring.skip": ["latency", "start", "carbon", "memory", "decoding", "attack"], "measuring.threads": 1}
DEMOS = {
    "classification": ("demo", "sentiment", "sentiment"),
    "regression": ("demo", "similarity", "number"),
    "span_qa": ("demo", "questions", "stretch"),
    "open_qa": ("demo", "questions", "words"),
    "translation": ("demo-translation", "lexicon", "words"),
    "language_modelling": ("demo-language", "chain", "words"),
    "masked_language_modelling": ("demo-language", "chain", "words"),
}
SAID = {
    "multi_label": "labels",
    "span_qa_no_answer": "stretch",
    **dict.fromkeys(("multiple_choice", "cloze", "several_choices"), "candidates"),
}


def scored(folder, system, suite, reference, **more):
    given = {"results": folder / "results", "cache": folder / "cache", "progress": False, **more}
    found = bench.score(system, suite, reference=reference, set=QUICK, **given)
    assert list(found.failures) == []
    (record,) = found.records
    return record


@pytest.mark.slow
def test_a_student_has_its_own_score_and_size_beside_its_teacher(tmp_path):
    from transformers import AutoModelForSequenceClassification

    teacher = write_checkpoint(tmp_path / "teacher", num_hidden_layers=2)
    student = write_checkpoint(tmp_path / "student", ("positive", "negative"), num_hidden_layers=1)
    record = scored(tmp_path, student, "demo", teacher, tasks=["sentiment"])
    task = load_suite("demo").task("sentiment")
    examples = load_data(task, data_dir=None).splits["validation"]
    for folder, values, names in (
        (teacher, record.reference, ("negative", "positive")),
        (student, record.values, ("positive", "negative")),
    ):
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        with torch.inference_mode():
            said = [
                names[int(model(**demo_tokenizer()(each.text, return_tensors="pt")).logits.argmax())]
                for each in examples
            ]
        assert values["accuracy"] == accuracy_score([task.labels[each.label] for each in examples], said)
        assert values["params"] == sum(parameter.numel() for parameter in model.parameters())
    assert (record.model, record.recipe, record.family) == ("teacher", "student", "given")
    assert record.provenance["reference"]["as_is"] is True
    assert record.provenance["system"]["form"] == "checkpoint"
    assert str(tmp_path) not in record.model_dump_json()


@pytest.mark.slow
def test_a_function_has_the_score_of_the_library_that_it_is_made_with(tmp_path):
    from made_answers import sentiment

    teacher = write_checkpoint(tmp_path / "teacher")
    record = scored(tmp_path, sentiment, "demo", teacher, tasks=["sentiment"], name="linear")
    task = load_suite("demo").task("sentiment")
    examples = load_data(task, data_dir=None).splits["validation"]
    said = _CLASSIFIER.predict_proba([each.text for each in examples]).argmax(axis=1)  # of negative and positive
    assert record.values["accuracy"] == accuracy_score([each.label for each in examples], said)
    assert record.absent["params"] == record.absent["size_bytes"] == record.absent["macs"] == CLOSED
    assert record.recipe == "linear"
    assert record.provenance["system"]["name"] == "made_answers:sentiment"
    with pytest.raises(ModelError, match="another system called 'linear'"):
        bench.score(
            teacher,
            "demo",
            reference=teacher,
            tasks=["sentiment"],
            name="linear",
            set=QUICK,
            results=tmp_path / "results",
            cache=tmp_path / "cache",
        )


def of_kind(kind, folder):
    """A suite with one task of the kind, its name, and the function that answers it."""
    if kind == "retrieval":
        write_collection(folder / "data")
        (folder / "made.toml").write_text(COLLECTION, encoding="utf-8")
        return load_suite(str(folder / "made.toml")), "made", "vector"
    if kind in MADE:
        return suite_of([kind]), kind.replace("_", "-"), SAID[kind]
    name, task, answer = DEMOS[kind]
    suite = load_suite(name)
    small = {"train_examples": 16, "evaluate_examples": 12, "kind": kind, "metrics": KINDS.get(kind).usual_metrics}
    one = suite.task(task).model_copy(update={**small, "ood": (), "threshold": None})
    data = {**suite.model_dump(exclude_unset=True), "tasks": [one.model_dump(exclude_unset=True)], "tracks": []}
    model = "demo-bert" if kind == "masked_language_modelling" else suite.model
    return Suite.model_validate({**data, "model": model, "findings": [], "baseline": None}), task, answer


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS.names())
def test_a_checkpoint_and_a_function_of_every_kind_have_their_records(kind, tmp_path, restored):
    restored(SOURCES)
    SOURCES.register(MadeKinds.name)(MadeKinds())
    suite, name, answer = of_kind(kind, tmp_path)
    data_dir = tmp_path / "data" if kind == "retrieval" else None
    task = suite.task(name)
    rows = trained_on(load_data(task, data_dir=data_dir), task)
    source = open_source(suite.model)
    tokenizer = source.tokenizer(lambda: (text for row in rows for text in row.texts))
    made = source.build(head=KINDS.get(kind).head, labels=task.labels or None, tokenizer=tokenizer, seed=0)
    bench.save_artifact(made, tmp_path / "model", tokenizer=tokenizer)
    if is_plain(tmp_path / "model") and made.config.model_type in ("bert", "marian"):
        for extra in ("layers.json", "recipe.json"):  # without them it is a checkpoint like any other
            (tmp_path / "model" / extra).unlink()
    model = str(tmp_path / "model")
    options = {"tasks": [name], "data_dir": data_dir}
    record = scored(tmp_path, model, suite, model, name="twin", **options)
    assert record.values["quality"] == record.reference["quality"]
    assert record.values["drop"] == 0
    assert record.values["params"] == record.reference["params"] > 0
    record = scored(tmp_path, f"made_answers:{answer}", suite, model, **options)
    assert record.absent["params"] == CLOSED
    if "language" in kind:
        assert "probabilities of tokens" in record.absent["quality"]
    else:
        assert 0 <= record.values["quality"] <= 1
        assert set(task.metrics) <= set(record.values)
    shutil.rmtree(tmp_path / "cache")
