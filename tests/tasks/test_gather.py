"""MultiRC's rows, in both of the forms in which they are distributed, become questions with their answers."""

from __future__ import annotations

import json

import pytest

from bench.base.errors import DataError
from bench.spec.suite import Task
from bench.tasks.data import load_data
from bench.tasks.kinds.kind import KINDS

# Three questions of two passages: both answers of the first are right, the last of the second, none of the third.
NESTED = [
    {
        "idx": 0,
        "passage": {
            "text": "The film was good.",
            "questions": [
                {"idx": 0, "question": "What was it?", "answers": [["good", 1], ["a film", 1]]},
                {"idx": 1, "question": "Who?", "answers": [["he", 0], ["she", 0], ["it", 1]]},
            ],
        },
    },
    {
        "idx": 1,
        "passage": {"text": "It ended.", "questions": [{"idx": 0, "question": "Why?", "answers": [["so", 0]]}]},
    },
]
FOUND = [
    ("The film was good.", "What was it?", ("good", "a film"), (0, 1)),
    ("The film was good.", "Who?", ("he", "she", "it"), (2,)),
    ("It ended.", "Why?", ("so",), ()),
]


def nested(labelled=True):
    """The lines of the official file."""
    for passage in NESTED:
        questions = [
            {
                **question,
                "answers": [
                    {"idx": n, "text": text, **({"label": label} if labelled else {})}
                    for n, (text, label) in enumerate(question["answers"])
                ],
            }
            for question in passage["passage"]["questions"]
        ]
        yield {**passage, "passage": {**passage["passage"], "questions": questions}}


def flat():
    """The rows of the hub's table, one per answer, those of the first question apart from each other."""
    rows = [
        {
            "paragraph": passage["passage"]["text"],
            "question": question["question"],
            "answer": text,
            "label": label,
            "idx": {"paragraph": passage["idx"], "question": question["idx"], "answer": number},
        }
        for passage in NESTED
        for question in passage["passage"]["questions"]
        for number, (text, label) in enumerate(question["answers"])
    ]
    return [rows[0], *rows[2:], rows[1]]


OFFICIAL = {
    "rows": "passage.questions[].answers[]",
    "columns": {
        "text": "passage.text",
        "pair": "passage.questions[].question",
        "choices": "choices",
        "label": "right",
        "uid": "{idx}-{passage.questions[].idx}",
    },
    "transform": {
        "name": "gather",
        "by": ["idx", "passage.questions[].idx"],
        "choice": "passage.questions[].answers[].text",
        "label": "passage.questions[].answers[].label",
    },
}
HUB = {
    "columns": {"text": "paragraph", "pair": "question", "choices": "choices", "label": "right"},
    "transform": {"name": "gather", "by": ["idx.paragraph", "idx.question"], "choice": "answer"},
}


def loaded(folder, lines, data):
    text = "\n".join(map(json.dumps, lines))
    for split in ("train", "val"):
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    task = Task(
        name="multirc",
        kind="several_choices",
        metrics=("f1", "exact_match"),
        data={**data, "files": {"train": "train.jsonl", "validation": "val.jsonl"}},
    )
    return load_data(task, data_dir=folder)


@pytest.mark.parametrize(("lines", "data"), [(nested, OFFICIAL), (flat, HUB)], ids=["official", "hub"])
def test_three_questions_by_hand_are_read_in_both_forms(tmp_path, lines, data):
    examples = loaded(tmp_path, lines(), data).splits["validation"]
    assert [(each.text, each.pair, each.choices, each.label) for each in examples] == FOUND


def test_answers_of_a_test_split_may_lack_labels_and_no_others(tmp_path):
    data = {**OFFICIAL, "files": {"validation": "val.jsonl", "test": "val.jsonl"}}
    options = {"name": "t", "kind": "several_choices", "metrics": ("f1",), "data": data, "trained_on": "other"}
    (tmp_path / "val.jsonl").write_text("\n".join(map(json.dumps, nested(labelled=False))), encoding="utf-8")
    examples = load_data(Task(**options, evaluate=("test",)), data_dir=tmp_path).splits["test"]
    assert [each.label for each in examples] == [None] * 3
    with pytest.raises(DataError, match=r"no column passage.questions\[\].answers\[\].label"):
        load_data(Task(**options), data_dir=tmp_path)
    assert examples[1].uid == "0-1"


def test_a_question_labelled_in_part_and_an_unknown_label_are_refused(tmp_path):
    rows = flat()
    rows[1]["label"] = "maybe"
    with pytest.raises(DataError, match=r"train.jsonl:2: unknown label 'maybe'. Expected one of 1, true"):
        loaded(tmp_path, rows, HUB)
    rows[1]["label"] = -1
    with pytest.raises(DataError, match=r"train.jsonl:2: 2 of the 3 answers of its question are labelled"):
        loaded(tmp_path, rows, HUB)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path):
    data = {**HUB, "transform": {**HUB["transform"], "choice": "answr"}}
    with pytest.raises(DataError, match=r"no column answr. Found: .*Did you mean 'answer'"):
        loaded(tmp_path, flat(), data)


@pytest.mark.shared
def test_the_real_questions_of_multirc_are_953_with_4848_answers(real_data):
    data = {**OFFICIAL, "files": {"validation": "superglue/MultiRC/val.jsonl"}}
    task = Task(name="t", kind="several_choices", metrics=("f1",), data=data, trained_on="other")
    examples = load_data(task, data_dir=real_data).splits["validation"]
    assert len(examples) == 953
    assert sum(len(each.choices) for each in examples) == 4848
    kind = KINDS.get("several_choices")
    assert 0.4 < sum(len(kind.truth(each)) for each in examples) / 4848 < 0.47  # 56 % are wrong, as published
