"""Which rows a task has, what their labels are, and what is only suspicious in them."""

import json

import pytest
from made_tables import as_lines, load, rows, task, write

from bench.base.errors import DataError, SuiteError
from bench.spec.data import Source, read_dataset
from bench.spec.suite import Task
from bench.tasks.data import load_data, settled
from bench.tasks.examples import Example
from bench.tasks.sources.suspicions import refuse_one_class
from bench.tasks.sources.table import described_data

NO_LABEL = '{"text": "a", "label": "yes"}\n{"text": "b", "label": null}\n'


def labels_of(folder, **data):
    given = {"files": {"train": "train"}, "columns": {"text": "text", "label": "label"}, **data}
    return settled(task(data=given), data_dir=folder).labels


def test_labels_that_nobody_names_are_the_sorted_strings_of_training(tmp_path):
    write(tmp_path, "train.csv", "text,label\na,pear\nb,apple\nc,-1\nd,pear\n")
    assert labels_of(tmp_path) == ("apple", "pear")
    assert rows(load(tmp_path, labels=())) == [("a", 1), ("b", 0), ("c", None), ("d", 1)]
    write(tmp_path, "train.csv", "text,label\na,10\nb,9\n")
    assert labels_of(tmp_path) == ("9", "10")
    write(tmp_path, "train.csv", "text,label\na,x\nb,y\nc,z\n")
    assert labels_of(tmp_path, leave_out={"text": ["a"]}, label_names={"y": "why"}) == ("why", "z")
    with pytest.raises(DataError, match=r"train.csv: no column lable. Found: text, label. Did you mean 'label'"):
        labels_of(tmp_path, columns={"text": "text", "label": "lable"})
    write(tmp_path, "train.csv", "text,label\na,x\nb,x\n")
    with pytest.raises(SuiteError, match="needs at least 2, found 1 in the data: x"):
        labels_of(tmp_path)


def test_labels_are_listed_by_the_data_or_by_a_file_in_the_order_of_their_indices(tmp_path):
    write(tmp_path, "train.csv", "text,label\na,1\nb,0\n")
    assert labels_of(tmp_path, labels=["z", "a"]) == ("z", "a")
    write(tmp_path, "names.json", json.dumps(["z", "a"]))
    write(tmp_path, "names.txt", "z\na\n")
    for name in ("names.json", "names.txt"):
        assert labels_of(tmp_path, labels_from=name) == ("z", "a")
        assert rows(load(tmp_path, labels=(), labels_from=name)) == [("a", 1), ("b", 0)]
    write(tmp_path, "names.txt", "z\nz\n")
    with pytest.raises(DataError, match=r"names.txt: z is listed twice"):
        labels_of(tmp_path, labels_from="names.txt")


def test_spellings_of_the_data_are_mapped_to_the_tasks_classes(tmp_path):
    write(tmp_path, "train.csv", "text,label\na,positive\nb,0\nc,neg\n")
    assert rows(load(tmp_path, label_names={"positive": "yes", "neg": "no"})) == [("a", 1), ("b", 0), ("c", 0)]
    with pytest.raises(DataError, match="'neg' is to be 'nope', but the labels are no, yes"):
        load(tmp_path, label_names={"neg": "nope"})


def test_a_task_trained_on_another_has_the_labels_of_that_one(tmp_path):
    wanted = task(data={"files": {}, "columns": {"text": "text"}}, trained_on="other")
    trained = task(data="glue/rte", labels=("b", "a"))
    assert settled(wanted, data_dir=tmp_path, trained=trained).labels == ("b", "a")


def test_truth_of_json_is_spelled_as_in_json(tmp_path):
    write(tmp_path, "train.jsonl", as_lines({"text": "a", "label": True}, {"text": "b", "label": False}))
    assert rows(load(tmp_path, labels=())) == [("a", 1), ("b", 0)]
    assert rows(load(tmp_path, labels=("true", "false"))) == [("a", 0), ("b", 1)]


def test_rows_are_kept_and_left_out_by_the_values_of_a_column(tmp_path):
    write(tmp_path, "train.csv", "text,label,votes\na,yes,5\nb,no,3\nc,no,1\n")
    assert rows(load(tmp_path, keep={"votes": ["5", "1"]})) == [("a", 1), ("c", 0)]
    data = load(tmp_path, leave_out={"votes": ["5"]})
    assert rows(data) == [("b", 0), ("c", 0)]
    assert [example.uid for example in data.splits["train"]] == ["train-1", "train-2"]


def test_a_split_is_cut_by_a_seed_and_keeps_equal_texts_together(tmp_path):
    lines = [f"text {number // 2},{'yes' if number % 3 else 'no'}\n" for number in range(200)]
    write(tmp_path, "train.csv", "text,label\n" + "".join(lines))
    given = {"shares": {"validation": 0.1, "test": 0.2}, "by": "text"}
    changes = {"evaluate": ("validation", "test")}
    data = load(tmp_path, cut={**given, "seed": 1}, changes=changes)
    assert {split: len(examples) for split, examples in data.splits.items()} == {
        "train": 140,
        "validation": 20,
        "test": 40,
    }
    texts = [{example.text for example in examples} for examples in data.splits.values()]
    assert sum(map(len, texts)) == len(set().union(*texts))
    assert data.notes == (
        "test is 40 of 200 rows of train, cut by seed 1, rows with the same text together",
        "validation is 20 of 200 rows of train, cut by seed 1, rows with the same text together",
    )
    assert load(tmp_path, cut={**given, "seed": 1}, changes=changes).splits == data.splits
    assert load(tmp_path, cut={**given, "seed": 2}, changes=changes).splits != data.splits


def test_what_is_suspicious_is_a_warning(tmp_path):
    write(tmp_path, "train.csv", "text,label\na,yes\nb,no\na,no\n,yes\n")
    write(tmp_path, "dev.csv", "text,label\nb,no\nc,no\na,no\n")
    changes = {"evaluate": ("validation",)}
    data = load(tmp_path, files={"train": "train", "validation": "dev"}, changes=changes)
    assert dict(data.warnings) == {
        "two-labels": "t: train repeats a text with another label in 1 row (first: train.csv:2 and train.csv:4).",
        "empty-text": "t: train has 1 empty text (first: train.csv:5).",
        "evaluated-in-training": "t: 2 of 3 rows of validation stand in train too (first: dev.csv:2), so validation "
        "does not tell how well new texts are handled.",
        "one-class": "t: all rows of validation have the label no.",
    }


def test_suspicious_labels_are_warnings_with_the_place_of_the_first(tmp_path):
    write(tmp_path, "train.csv", "text,label\na,Yes\nb,yes\nc,no\n")
    write(tmp_path, "dev.csv", "text,label\nd,no\ne,maybe\nf,yes\n")
    changes, labels = {"evaluate": ("validation",)}, ("Yes", "maybe", "no", "yes")
    data = load(tmp_path, labels=labels, files={"train": "train", "validation": "dev"}, changes=changes)
    assert dict(data.warnings) == {
        "alike-labels": "t: the labels 'Yes' and 'yes' differ only in case and count as two. If they are one class, "
        "write it the same way everywhere.",
        "untrained-label": "t: 1 of 3 rows of validation have a label that no row of train has (first: 'maybe', "
        "dev.csv:3).",
    }
    changes["out_of_scope"] = "maybe"
    refused = load(tmp_path, labels=labels, files={"train": "train", "validation": "dev"}, changes=changes)
    assert "untrained-label" not in dict(refused.warnings)


def test_labels_of_one_row_each_are_suspicious_and_places_are_those_before_a_cut(tmp_path):
    write(tmp_path, "train.csv", "text,label\n" + "".join(f"t{n},{n}.5\n" for n in range(20)) + ",0.5\n")
    changes, labels = {"evaluate": ("validation",)}, tuple(f"{n}.5" for n in range(20))
    data = load(tmp_path, labels=labels, cut={"seed": 1, "shares": {"validation": 0.2}}, changes=changes)
    warned = dict(data.warnings)
    assert warned["lone-labels"].endswith("Check that the column holds classes, and not scores, ids or texts.")
    assert "(first: train.csv:22)" in warned["empty-text"]


def test_training_on_one_score_is_refused():
    task = Task(name="t", kind="regression", metrics=("pearson",), data={"source": "generated", "subset": "similarity"})
    with pytest.raises(DataError, match=r"t: all 2 examples of 'train' have the score 3, so there is nothing to learn"):
        refuse_one_class(task, [Example(uid=uid, text="a", label=3.0) for uid in "ab"])


@pytest.mark.parametrize(("name", "text"), [("train.csv", "text,label\na,yes\nb, \n"), ("train.jsonl", NO_LABEL)])
def test_a_row_without_a_label_is_refused_with_its_line_and_is_no_class(tmp_path, name, text):
    write(tmp_path, name, text)
    line = 3 if name.endswith("csv") else 2
    with pytest.raises(SuiteError, match="found 1 in the data: yes"):
        labels_of(tmp_path, files={"train": name})
    with pytest.raises(DataError, match=rf"{name}:{line}: the row has no label\. Fill it in, or remove the row"):
        load(tmp_path, files={"train": name})


def test_training_on_one_class_is_refused(tmp_path):
    write(tmp_path, "train.csv", "text,label\na,yes\nb,yes\n")
    wanted = task(
        data={"files": {"train": "train"}, "columns": {"text": "text", "label": "label"}}, labels=("no", "yes")
    )
    with pytest.raises(DataError, match="all 2 examples of 'train' have the label yes, so there is nothing to learn"):
        refuse_one_class(wanted, load_data(wanted, data_dir=tmp_path).splits["train"])


@pytest.mark.parametrize(
    "answers",
    [
        [{"text": "Bob", "answer_start": 7}],
        {"text": ["Bob"], "answer_start": [7]},
        {"text": ["Bob"]},
        ["Bob"],
        "Bob",
    ],
)
def test_answers_are_read_in_every_form(tmp_path, answers):
    write(tmp_path, "train.jsonl", as_lines({"q": "who", "c": "It was Bob.", "a": answers}))
    columns = {"text": "q", "pair": "c", "answers": "a"}
    data = load(tmp_path, kind="span_qa", columns=columns)
    assert data.splits["train"][0].answers == (("Bob", 7),)
    told = ("the start of 1 answers of train is where they first stand in the text",)
    assert data.notes == (() if "answer_start" in str(answers) else told)


def test_an_answer_may_have_its_start_beside_it_and_must_stand_in_its_context(tmp_path):
    columns = {"text": "q", "pair": "c", "answers": "a", "start": "s"}
    write(tmp_path, "train.csv", "q,c,a,s\nwho,Bob or Bob,Bob,7\n")
    assert load(tmp_path, kind="span_qa", columns=columns).splits["train"][0].answers == (("Bob", 7),)
    write(tmp_path, "train.csv", "q,c,a\nwho,Bob or Bob,Ada\n")
    with pytest.raises(DataError, match=r"train.csv:2: the answer 'Ada' is not in its context"):
        load(tmp_path, kind="span_qa", columns={key: columns[key] for key in ("text", "pair", "answers")})


def test_questions_without_answers_are_hidden_if_the_split_publishes_none(tmp_path):
    columns = {"text": "q", "pair": "c", "answers": "a"}
    write(tmp_path, "train.jsonl", as_lines({"q": "who", "c": "x", "a": []}, {"q": "who", "c": "y", "a": []}))
    assert [example.answers for example in load(tmp_path, kind="span_qa", columns=columns).splits["train"]] == [(), ()]


def test_choices_are_columns_or_a_list_and_their_label_an_index_or_a_text(tmp_path):
    write(tmp_path, "train.csv", "text,one,two,label\na,x,y,1\nb,x,y,x\nc,x,y,B\n")
    given = {
        "columns": {"text": "text", "choices": ["one", "It is {two}"], "label": "label"},
        "label_names": {"B": "1"},
    }
    examples = load(tmp_path, kind="regression", **given).splits["train"]
    assert [(example.choices, example.label) for example in examples] == [
        (("x", "It is y"), 1),
        (("x", "It is y"), 0),
        (("x", "It is y"), 1),
    ]
    write(tmp_path, "train.jsonl", as_lines({"text": "a", "of": ["x", "y", "z"], "label": [2, 0]}))
    columns = {"text": "text", "choices": "of", "label": "label"}
    (example,) = load(
        tmp_path, kind="regression", files={"train": "train.jsonl"}, columns=columns, checked=False
    ).splits["train"]
    assert (example.choices, example.label) == (("x", "y", "z"), (0, 2))


def test_keys_of_a_task_replace_those_of_its_data_set():
    stated = read_dataset("glue/rte")
    changed = described_data(Source(source="glue", subset="rte", files={"train": "mine.csv"}, quotes=True))
    assert (changed.files, changed.quotes) == ({"train": "mine.csv"}, True)
    assert (changed.columns, changed.labels, changed.hub) == (stated.columns, stated.labels, stated.hub)
    assert described_data(Source.model_validate("glue/rte")) == described_data(Source(source="glue", subset="rte"))
