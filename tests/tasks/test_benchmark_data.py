"""Data sets of the benchmarks: the real files have their published sizes, and made ones are read in every layout."""

from __future__ import annotations

import json

import pytest

from bench.base.errors import DataError
from bench.spec.data import read_dataset
from bench.spec.suite import Task
from bench.tasks.examples import Answer
from bench.tasks.sources.table import TableSource

SHARED = {  # rows of data/README.md; MultiRC's are questions
    "superglue/boolq": {"validation": 3270},
    "superglue/cb": {"train": 250, "validation": 56, "test": 250},
    "superglue/copa": {"train": 400, "validation": 100, "test": 500},
    "superglue/multirc": {"validation": 953},
    "superglue/rte": {"train": 2490, "validation": 277, "test": 3000},
    "superglue/wic": {"validation": 638},
    "superglue/wsc": {"train": 554, "validation": 104, "test": 146},
    "superglue/axb": {"test": 1104},
    "squad/v1": {"validation": 10570},
    "squad/du-slice": {"train": 11877, "validation": 10570},
    "nli/snli": {"validation": 9842, "test": 9824},
    "nli/scitail": {"test": 2126},
    "intent/banking77": {"train": 10003, "test": 3080},
    "spam/sms": {"train": 3902, "validation": 557, "test": 1115},
}


def load(name, folder, *splits, changes=None):
    """The splits of a data set in a folder, and the names of its classes."""
    data = read_dataset(name)
    stated = {"source": name.partition("/")[0], "subset": name.partition("/")[2], **(changes or {})}
    kind, metric = ("span_qa", "f1") if "answers" in data.columns else ("classification", "accuracy")
    task = Task(name="task", kind=kind, metrics=(metric,), data=stated, train=splits[0], evaluate=splits)
    source = TableSource()
    named = data.labels or ("label" in data.columns and "choices" not in data.columns)
    labels = source.labels(task, data_dir=folder) if named else ()
    return source.load(task.model_copy(update={"labels": labels}), data_dir=folder), labels


def lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def text(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


@pytest.mark.shared
@pytest.mark.parametrize("name", SHARED)
def test_the_real_files_have_their_published_sizes(real_data, name):
    found, _ = load(name, real_data, *SHARED[name])
    assert {split: len(examples) for split, examples in found.splits.items()} == SHARED[name]
    published = read_dataset(name).sizes
    assert {**SHARED[name], **published} == {**published, **SHARED[name]} or name == "spam/sms"


@pytest.mark.shared
def test_the_answers_of_multirc_are_those_of_the_official_count(real_data):
    examples = load("superglue/multirc", real_data, "validation")[0].splits["validation"]
    assert sum(len(example.choices) for example in examples) == 4848
    assert examples[0].choices[:2] == ("No", "Yes")
    assert examples[0].label == (1, 2)
    assert examples[0].uid == "0-0"
    assert examples[0].pair == "Would the mass of a baseball affect how much force you have to use to pick it up?"


@pytest.mark.shared
def test_real_words_are_marked_in_their_sentences(real_data):
    wic = load("superglue/wic", real_data, "validation")[0].splits["validation"]
    assert wic[0].text == "An emerging professional [class]."
    wsc = load("superglue/wsc", real_data, "validation")[0].splits["validation"]
    assert "*anyone* who knew" in wsc[0].text
    assert "could take his claim away from #him# ." in wsc[0].text
    assert all(example.text.count("*") == example.text.count("#") == 2 for example in wsc)


@pytest.mark.shared
def test_equal_messages_are_in_one_split_and_a_seventh_is_spam(real_data):
    splits = load("spam/sms", real_data, "train", "validation", "test")[0].splits
    texts = {split: {example.text for example in examples} for split, examples in splits.items()}
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["validation"]
    assert not texts["validation"] & texts["test"]
    assert sum(example.label for examples in splits.values() for example in examples) == 747


@pytest.mark.shared
def test_the_classes_of_banking77_are_those_of_its_list(real_data):
    _, labels = load("intent/banking77", real_data, "train")
    listed = json.loads((real_data / "banking77" / "categories.json").read_text(encoding="utf-8"))
    assert labels == tuple(sorted(listed))
    assert len(labels) == 77


PASSAGE = "Ann met Bob. Bob left."


def test_record_is_read_from_its_official_lines_and_from_the_hubs(tmp_path):
    entities = [{"start": 0, "end": 2}, {"start": 8, "end": 10}, {"start": 13, "end": 15}]
    query = "@placeholder left."
    official = {
        "source": "news",
        "idx": 3,
        "passage": {"text": PASSAGE, "entities": entities},
        "qas": [{"query": query, "idx": 9, "answers": [{"start": 8, "end": 10, "text": "Bob"}]}],
    }
    hub = {"passage": PASSAGE, "query": query, "entities": ["Ann", "Bob"], "answers": ["Bob"], "idx": {"query": 9}}
    lines(tmp_path / "superglue" / "ReCoRD" / "train.jsonl", official)
    theirs = {"rows": None}
    lines(tmp_path / "superglue" / "ReCoRD" / "val.jsonl", hub)
    found = [
        load("superglue/record", tmp_path, "train")[0].splits["train"][0],
        load("superglue/record", tmp_path, "validation", changes=theirs)[0].splits["validation"][0],
    ]
    for example in found:
        assert (example.text, example.pair) == (PASSAGE, query)
        assert example.choices == ("Ann", "Bob")
        assert (example.uid, example.label) == ("9", (1,))


def test_multirc_is_gathered_from_the_hubs_rows_and_hidden_labels_stay_hidden(tmp_path):
    def row(passage, question, answer, label):
        return {
            "paragraph": PASSAGE,
            "question": f"question {question}",
            "answer": f"answer {answer}",
            "label": label,
            "idx": {"paragraph": passage, "question": question, "answer": answer},
        }

    rows = [row(0, 0, 0, 0), row(0, 0, 1, 1), row(0, 1, 2, 0), row(0, 0, 3, 1)]
    lines(tmp_path / "superglue" / "MultiRC" / "train.jsonl", *rows)
    lines(tmp_path / "superglue" / "MultiRC" / "test.jsonl", row(1, 2, 4, -1), row(1, 2, 5, -1))
    splits = load("superglue/multirc", tmp_path, "train", "test", changes={"rows": None})[0].splits
    first, second = splits["train"]
    assert (first.text, first.pair) == (PASSAGE, "question 0")
    assert first.choices == ("answer 0", "answer 1", "answer 3")
    assert (first.label, second.label) == ((1, 2), ())
    assert (first.uid, second.uid) == ("0-0", "0-1")
    assert splits["test"][0].label is None


def test_a_label_of_a_gathered_candidate_that_is_no_flag_is_refused(tmp_path):
    row = {
        "paragraph": PASSAGE,
        "question": "who?",
        "answer": "Ann",
        "label": 2,
        "idx": {"paragraph": 0, "question": 0},
    }
    lines(tmp_path / "superglue" / "MultiRC" / "train.jsonl", row)
    with pytest.raises(DataError, match=r"train.jsonl:1: unknown label '2'"):
        load("superglue/multirc", tmp_path, "train", changes={"rows": None})


def test_a_span_of_the_official_files_is_marked_where_it_stands_and_at_its_word_if_it_stands_nowhere(tmp_path):
    def row(index, says):
        target = {"span1_text": says, "span1_index": index, "span2_text": "it", "span2_index": 5}
        return {"text": "The dog saw The Cat, it ran and it hid.", "target": target, "label": True, "idx": says}

    lines(tmp_path / "superglue" / "WSC" / "train.jsonl", row(2, "the cat."), row(0, "The mouse"), row(0, "the dog"))
    found = [example.text for example in load("superglue/wsc", tmp_path, "train")[0].splits["train"]]
    assert found == [
        "The dog saw *The Cat*, #it# ran and it hid.",
        "*The dog* saw The Cat, #it# ran and it hid.",
        "*The dog* saw The Cat, #it# ran and it hid.",
    ]


def test_questions_without_an_answer_are_read_from_squads_second_version(tmp_path):
    qas = [
        {"id": "a", "question": "who left?", "is_impossible": False, "answers": [{"text": "Bob", "answer_start": 13}]},
        {"id": "b", "question": "who cried?", "is_impossible": True, "answers": []},
    ]
    path = tmp_path / "squad" / "dev-v2.0.json"
    path.parent.mkdir()
    content = {"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": PASSAGE, "qas": qas}]}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    found = load("squad/v2", tmp_path, "validation")[0].splits["validation"]
    assert [(example.uid, example.answers) for example in found] == [
        ("a", (Answer("Bob", 13),)),
        ("b", (Answer("", 0),)),
    ]


@pytest.mark.parametrize(("name", "folder"), [("intent/atis", "atis"), ("intent/snips", "data/snips")])
def test_slot_filling_files_are_read_side_by_side(tmp_path, name, folder):
    label = read_dataset(name).labels[1]
    for split in ("train", "valid", "test"):
        text(tmp_path / folder / split / "seq.in", f"a request of {split}", "another")
        text(tmp_path / folder / split / "label", label, label)
    found, labels = load(name, tmp_path, "train", "validation", "test")
    assert found.splits["validation"][0].text == "a request of valid"
    assert {labels[example.label] for examples in found.splits.values() for example in examples} == {label}


@pytest.mark.parametrize(
    ("name", "path", "header", "row", "expected"),
    [
        ("elue/sst2", "elue/SST-2/train.tsv", "sentence\tlabel", 'a "fine film\t1', ('a "fine film', None, 1)),
        ("elue/imdb", "elue/IMDb/dev.tsv", "sentence\tlabel", "dull\t0", ("dull", None, 0)),
        ("elue/scitail", "elue/SciTail/train.tsv", "premise\thypothesis\tlabel", "a\tb\t1", ("a", "b", 1)),
        ("elue/snli", "ELUE/SNLI/dev.tsv", "premise\thypothesis\tlabel", "a\tb\t2", ("a", "b", 2)),
        ("nli/scitail", "scitail/scitail_1.0_train.tsv", None, "a\tb\tentails", ("a", "b", 0)),
        ("intent/clinc150", "clinc150/val.csv", "text,intent", "hello,greeting", ("hello", None, 0)),
        ("sentiment/imdb", "imdb/test.csv", "text,label", '"a, b",1', ("a, b", None, 1)),
    ],
)
def test_a_file_in_the_layout_of_its_publisher_is_read(tmp_path, name, path, header, row, expected):
    text(tmp_path / path, *([header] if header else []), row)
    split = next(
        split
        for split, stem in (("train", "train"), ("validation", "dev"), ("validation", "val"), ("test", "test"))
        if stem in path.rpartition("/")[2]
    )
    example = load(name, tmp_path, split)[0].splits[split][0]
    assert (example.text, example.pair, example.label) == expected


def test_the_pairs_of_winogender_are_groups(tmp_path):
    rows = [
        {"premise": f"{who} fixed it.", "hypothesis": "It works.", "label": "entailment", "idx": row, "pair_id": 551}
        for row, who in enumerate(("He", "She"))
    ]
    lines(tmp_path / "superglue" / "AX-g" / "AX-g.jsonl", *rows)
    examples = load("superglue/axg", tmp_path, "test")[0].splits["test"]
    assert [example.group for example in examples] == ["551", "551"]
