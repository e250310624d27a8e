"""Data sets in the files that their authors publish, and the keys of a table that read them."""

from __future__ import annotations

import json

import pytest

from bench.base.errors import DataError, SuiteError
from bench.spec.suite import Task
from bench.tasks.sources.table import TableSource

SPLITS = ("train", "validation", "test")


def load(data, folder, *splits):
    """What the splits of the data hold, as (text, pair, name of the label), and the names of the labels."""
    task = Task(name="t", kind="classification", metrics=("accuracy",), data=data, train=splits[0], evaluate=splits)
    labels = TableSource().labels(task, data_dir=folder)
    found = TableSource().load(task.model_copy(update={"labels": labels}), data_dir=folder)
    rows = {
        split: [(each.text, each.pair, labels[each.label]) for each in examples]
        for split, examples in found.splits.items()
    }
    return rows, labels


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def test_clinc150_has_its_texts_out_of_scope_in_lists_of_their_own(tmp_path):
    content = {
        "val": [["what does mono mean", "definition"]],
        "oos_val": [["set a timer for oven", "oos"]],
        "train": [["what is tepid", "definition"], ["pay my bill", "pay_bill"]],
        "oos_train": [["who won the game", "oos"], ["how tall is it", "oos"]],
        "test": [["how do I pay my bill", "pay_bill"]],
        "oos_test": [["is it far", "oos"]],
    }
    write(tmp_path / "oos-eval" / "data" / "data_full.json", json.dumps(content))
    rows, labels = load("intent/clinc150-full", tmp_path, *SPLITS)
    assert labels == ("definition", "oos", "pay_bill")
    assert rows == {
        split: [(text, None, intent) for key in (name, f"oos_{name}") for text, intent in content[key]]
        for split, name in zip(SPLITS, ("train", "val", "test"), strict=True)
    }


def test_the_official_lines_of_snli_are_read_without_pairs_that_annotators_did_not_agree_on(tmp_path):
    names = ("neutral", "-", "contradiction", "entailment")
    for split in ("train", "dev", "test"):
        lines = [
            {
                "annotator_labels": [name] if name != "-" else ["neutral", "entailment"],
                "captionID": f"{number}.jpg#4",
                "gold_label": name,
                "pairID": f"{number}.jpg#4r1n",
                "sentence1": f"A person, {split}.",
                "sentence1_binary_parse": "( A person )",
                "sentence2": f"It is {number}.",
            }
            for number, name in enumerate(names)
        ]
        write(tmp_path / "snli_1.0" / f"snli_1.0_{split}.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
        write(tmp_path / "snli_1.0" / f"snli_1.0_{split}.txt", "gold_label\tsentence1\n")  # beside it in the archive
    rows, labels = load("nli/snli", tmp_path, *SPLITS)
    assert labels == ("entailment", "neutral", "contradiction")
    assert rows["validation"] == [
        ("A person, dev.", f"It is {number}.", name) for number, name in enumerate(names) if name != "-"
    ]
    assert {split: len(found) for split, found in rows.items()} == dict.fromkeys(SPLITS, 3)


def test_the_copy_of_snli_with_the_hubs_columns_is_read_as_before(tmp_path):
    rows = [{"premise": "a", "hypothesis": f"b{label}", "label": label} for label in (2, -1, 0)]
    write(tmp_path / "snli" / "test.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    found, _ = load("nli/snli", tmp_path, "test")
    assert found["test"] == [("a", "b2", "contradiction"), ("a", "b0", "entailment")]


def test_a_review_of_imdb_is_a_file_in_the_folder_of_its_class(tmp_path):
    reviews = {
        f"{split}/{folder}/{number}_{stars}.txt": f"{split} {folder} {number}.<br />A second line\nand a third."
        for split in ("train", "test")
        for folder, stars in (("pos", 9), ("neg", 2), ("unsup", 0))
        for number in range(5)
    }
    for name, review in reviews.items():
        write(tmp_path / "aclImdb" / name, review)
    write(tmp_path / "aclImdb" / "train" / "urls_pos.txt", "a\nb\n")
    rows, labels = load("sentiment/aclimdb", tmp_path, *SPLITS)
    assert labels == ("neg", "pos")
    expected = [(review, None, name.split("/")[1]) for name, review in reviews.items() if "unsup" not in name]
    assert sorted(row for split in rows.values() for row in split) == sorted(expected)
    assert {split: len(found) for split, found in rows.items()} == {"train": 8, "validation": 2, "test": 10}
    assert rows["test"][0][0].startswith("test neg 0.")


def test_a_file_without_text_is_named_if_each_file_is_a_text(tmp_path):
    write(tmp_path / "a" / "one.txt", "good\n")
    write(tmp_path / "b" / "two.txt", " \n")
    data = {
        "files": {"train": "*/*.txt"},
        "format": "document",
        "folder_column": "class",
        "columns": {"text": "text", "label": "class"},
    }
    with pytest.raises(DataError, match=r"b/two\.txt: no text; expected one text per file"):
        load(data, tmp_path, "train")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_the_column_of_the_folder_has_a_name_of_its_own(tmp_path, ending):
    content = {"csv": "text,label\na,x\n", "jsonl": '{"text": "a", "label": "x"}\n'}[ending]
    write(tmp_path / f"train.{ending}", content)
    data = {"files": {"train": "train"}, "folder_column": "label", "columns": {"text": "text", "label": "label"}}
    with pytest.raises(DataError, match=r"folder_column: .* a.* '?label'? already; choose another name"):
        load(data, tmp_path, "train")


def lists(**more):
    return {"files": dict.fromkeys(SPLITS, "own.json"), "columns": {"text": "text", "label": "label"}, **more}


@pytest.mark.parametrize(
    ("content", "keys", "told"),
    [
        (
            [["a", "b"]],
            {},
            r"own\.json, \[0\]: found a list, expected a JSON object\. .* header = \[\"text\", \"label\"\]",
        ),
        (
            [["a", "b"], ["c"]],
            {"header": ["text", "label"]},
            r"own\.json, \[1\]: found a list of 1, expected 2 fields: text, label",
        ),
        (
            {"x": [["a", "b"], ["c", "d", "e"]]},
            {"header": ["text", "label"], "rows": "x[]"},
            r"own\.json, x\[1\]: found a list of 3, expected 2 fields",
        ),
        ({"x": [["a", "b"]]}, {"header": ["text", "label"], "rows": ["x[]", "y[]"]}, r"no 'y' on the path y\[\]\."),
        (["a"], {}, r"own\.json, \[0\]: found a string, expected a JSON object"),
    ],
)
def test_rows_that_are_lists_need_the_names_of_all_their_fields(tmp_path, content, keys, told):
    write(tmp_path / "own.json", json.dumps(content))
    with pytest.raises(DataError, match=told):
        load(lists(**keys), tmp_path, "train")


def test_a_split_whose_rows_are_nowhere_is_named(tmp_path):
    write(tmp_path / "own.json", json.dumps({"x": [["a", "b"]]}))
    with pytest.raises(SuiteError, match=r"data\.rows: no path for the split 'test', only for train"):
        load(lists(header=["text", "label"], rows={"train": "x[]"}), tmp_path, "train", "test")


def test_lines_may_be_lists_and_lists_may_lie_in_lines(tmp_path):
    write(tmp_path / "own.jsonl", '["a", "x"]\n["b", "y"]\n')
    data = {**lists(header=["text", "label"]), "files": {"train": "own.jsonl"}}
    assert load(data, tmp_path, "train")[0]["train"] == [("a", None, "x"), ("b", None, "y")]
    write(tmp_path / "own.jsonl", '{"of": "z", "rows": [["a", "x"]]}\n{"of": "w", "rows": [["b", "y"], ["c", "x"]]}\n')
    data |= {"rows": "rows[]", "columns": {"text": "text", "pair": "of", "label": "label"}}
    assert load(data, tmp_path, "train")[0]["train"] == [("a", "z", "x"), ("b", "w", "y"), ("c", "w", "x")]
