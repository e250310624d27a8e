"""Features packed into flat arrays are those that the kind gave, and survive a file."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from bench.spec.suite import Task
from bench.tasks import encoded
from bench.tasks.encoded import Encoded, encode, encode_once
from bench.tasks.examples import Answer, Example
from bench.tasks.kinds.kind import KINDS
from bench.tasks.kinds.span_qa import NO_ANSWER

TASKS = {
    "classification": Task(
        name="films", kind="classification", labels=("bad", "good"), metrics=("accuracy",), data="made/films"
    ),
    "regression": Task(name="films", kind="regression", metrics=("pearson",), data="made/films"),
    "span_qa": Task(name="films", kind="span_qa", metrics=("f1",), data="made/films"),
    "multiple_choice": Task(
        name="films", kind="multiple_choice", labels=("first", "second"), metrics=("accuracy",), data="made/films"
    ),
    "language_modelling": Task(name="films", kind="language_modelling", metrics=("perplexity",), data="made/films"),
}
CONTEXT = "the film was good and the plot was very bad"


def examples(kind: str) -> list[Example]:
    labels = {"classification": 1, "regression": 0.1, "multiple_choice": 1}
    return [
        Example(
            uid=f"train-{row}",
            text="the film was good " * (row % 3 + 1),
            pair=CONTEXT if kind == "span_qa" else None,
            label=labels.get(kind),
            answers=(Answer("good", 13),) if kind == "span_qa" else (),
            choices=("bad", "really very good") if kind == "multiple_choice" else (),
        )
        for row in range(7)
    ]


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("training", [True, False])
def test_features_are_those_of_the_kind_in_every_chunk_size(kind, training, tokenizer, monkeypatch, tmp_path):
    monkeypatch.setattr(encoded, "CHUNK", 3)
    plugin, rows, task = KINDS.get(kind), examples(kind), TASKS[kind]
    options = {"task": task, "max_length": 32, "training": training}
    wanted = plugin.encode(rows, tokenizer, **options)
    found = encode(plugin, rows, tokenizer, **options)
    assert list(found) == list(wanted)
    assert found[-1] == wanted[-1]
    assert list(found[1:3]) == wanted[1:3]
    if isinstance(found, Encoded):
        found.write(tmp_path / "features.parquet")
        assert list(Encoded.read(tmp_path / "features.parquet")) == list(wanted)
        assert found.lengths() == [feature.tokens for feature in wanted]


def test_a_kind_that_joins_examples_is_encoded_at_once(tokenizer):
    plugin = KINDS.get("language_modelling")
    assert not plugin.one_by_one
    options = {"task": TASKS["language_modelling"], "max_length": 32, "training": True}
    assert not isinstance(encode(plugin, examples("language_modelling"), tokenizer, **options), Encoded)


def test_a_large_split_is_encoded_once_and_again_for_another_length(tokenizer, monkeypatch, tmp_path):
    monkeypatch.setattr(encoded, "KEPT", 5)
    plugin, rows, task = KINDS.get("classification"), examples("classification"), TASKS["classification"]
    options = {"task": task, "folder": tmp_path, "split": "train"}
    wanted = plugin.encode(rows, tokenizer, task=task, max_length=32, training=True)
    assert list(encode_once(plugin, rows, tokenizer, max_length=32, **options)) == wanted
    kept = list(tmp_path.iterdir())
    assert len(kept) == 1
    monkeypatch.setattr(type(plugin), "encode", None)
    assert list(encode_once(plugin, rows, tokenizer, max_length=32, **options)) == wanted
    monkeypatch.undo()
    monkeypatch.setattr(encoded, "KEPT", 5)
    shorter = encode_once(plugin, rows, tokenizer, max_length=6, **options)
    assert max(len(feature.inputs["input_ids"]) for feature in shorter) == 6
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_encoded_is_not_read_by_a_tokenizer_that_cuts_at_the_other_end(tokenizer, monkeypatch, tmp_path):
    monkeypatch.setattr(encoded, "KEPT", 5)
    plugin, task = KINDS.get("classification"), TASKS["classification"]
    rows = [Example(uid=f"train-{row}", text="the film was good the plot was bad", label=1) for row in range(7)]
    options = {"task": task, "max_length": 6, "folder": tmp_path, "split": "train"}
    right = list(encode_once(plugin, rows, tokenizer, **options))
    other = copy.deepcopy(tokenizer)
    other.truncation_side = "left"
    left = list(encode_once(plugin, rows, other, **options))
    assert left == plugin.encode(rows, other, task=task, max_length=6, training=True)
    assert left != right
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_encoded_is_not_read_if_another_token_is_the_class_token(tokenizer, monkeypatch, tmp_path):
    monkeypatch.setattr(encoded, "KEPT", 1)
    plugin = KINDS.get("span_qa_no_answer")
    task = TASKS["span_qa"].model_copy(update={"kind": plugin.name})
    rows = [Example(uid="train-0", text="was it ?", pair=CONTEXT, answers=NO_ANSWER)] * 2
    options = {"task": task, "max_length": 32, "folder": tmp_path, "split": "train"}
    first = encode_once(plugin, rows, tokenizer, **options)[0].targets
    other = copy.deepcopy(tokenizer)
    other.cls_token = other.sep_token
    second = encode_once(plugin, rows, other, **options)[0].targets
    assert first == {"start_positions": 0, "end_positions": 0}
    assert second["start_positions"] > 0


@pytest.mark.parametrize(("lost", "kept"), [((6,), 6), (tuple(range(7)), 0)])
def test_a_part_without_features_is_no_part(tokenizer, monkeypatch, lost, kept):
    monkeypatch.setattr(encoded, "CHUNK", 3)
    plugin = KINDS.get("span_qa")
    rows = [
        replace(row, answers=(Answer(row.pair, 0),)) if index in lost else row
        for index, row in enumerate(examples("span_qa"))
    ]
    options = {"task": TASKS["span_qa"], "max_length": 16, "training": True}
    wanted = plugin.encode([row for index, row in enumerate(rows) if index not in lost], tokenizer, **options)
    found = encode(plugin, rows, tokenizer, **options)
    assert len({feature.example for feature in found}) == kept
    assert [feature.inputs for feature in found] == [feature.inputs for feature in wanted]
