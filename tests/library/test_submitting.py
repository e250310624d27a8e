"""The files that `bench submit` writes are read back by the graders' published rules."""

from __future__ import annotations

import csv
import json
import zipfile

import numpy as np
import pytest

import bench
from bench.base.errors import ArtifactError, DataError, SuiteError, UnknownNameError
from bench.library.submitting import _asked
from bench.spec.data import read_dataset
from bench.spec.submission import SUBMISSIONS, SubmissionFile, read_submission
from bench.spec.suite import Suite, load_suite
from bench.tasks.answer_files import lines_of
from bench.tasks.data import load_data
from bench.tasks.examples import Example
from bench.tasks.predictions import (
    AnswersOrNone,
    ChoiceDecisions,
    ChosenAnswers,
    ClassLogits,
    LabelDecisions,
    ScoreValues,
    WrittenAnswers,
)

SETTING = {
    "max_length": 16,
    "training": {"epochs": 1, "learning_rate": 1e-3},
    "measuring": {"country": "USA", "threads": 1, "length": 8},
}
GLUE_FILES = {
    *("CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "QQP.tsv", "STS-B.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "QNLI.tsv"),
    *("RTE.tsv", "WNLI.tsv", "AX.tsv"),
}
SUPERGLUE_FILES = {
    *("BoolQ.jsonl", "CB.jsonl", "COPA.jsonl", "MultiRC.jsonl", "ReCoRD.jsonl", "RTE.jsonl", "WiC.jsonl"),
    *("WSC.jsonl", "AX-b.jsonl", "AX-g.jsonl"),
}


def read_tsv(text):
    """As a grader of GLUE reads a file: a header, then an index from 0 and a prediction per line."""
    header, *rows = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert header == ["index", "prediction"]
    assert [row[0] for row in rows] == [str(number) for number in range(len(rows))]
    return [row[1] for row in rows]


def glue_suite():
    tasks = [task for task in load_suite("glue").tasks if task.name in ("wnli", "stsb")]
    return Suite(name="glue", title="A small GLUE", model="demo-bert", setting=SETTING, tasks=tasks)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Files in GLUE's layout with as many test rows as the official ones have."""
    root = tmp_path_factory.mktemp("data")
    pairs = [f"the film was {'good' if row % 2 else 'bad'}\tit was number {row}" for row in range(1379)]
    for folder, head, label, tests in (
        ("WNLI", "sentence1\tsentence2", lambda row: row % 2, 146),
        ("STS-B", "sentence1\tsentence2", lambda row: row % 6, 1379),
    ):
        (root / folder).mkdir()
        name = "label" if folder == "WNLI" else "score"
        for split in ("train", "dev"):
            lines = [f"{row}\t{pairs[row]}\t{label(row)}" for row in range(24)]
            text = "\n".join([f"index\t{head}\t{name}", *lines])
            (root / folder / f"{split}.tsv").write_text(text, encoding="utf-8")
        lines = [f"{row}\t{pairs[row]}" for row in range(tests)]
        (root / folder / "test.tsv").write_text("\n".join([f"index\t{head}", *lines]), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """What is submitted after a recipe was run on both tasks."""
    folder = tmp_path_factory.mktemp("made")
    common = {"data_dir": data, "cache": folder / "cache"}
    for task in ("wnli", "stsb"):
        bench.compress("demo-bert", "int8", suite=glue_suite(), task=task, progress=False, **common)
    return bench.submit(glue_suite(), recipe="int8", out=folder / "out", **common), folder / "cache"


def test_classes_are_written_with_the_spellings_of_the_grader(made):
    found = read_tsv(made[0].files["WNLI.tsv"].read_text(encoding="utf-8"))
    assert len(found) == 146
    assert set(found) <= {"0", "1"}


def test_scores_are_numbers_between_0_and_5(made):
    found = [float(each) for each in read_tsv(made[0].files["STS-B.tsv"].read_text(encoding="utf-8"))]
    assert len(found) == 1379
    assert min(found) >= 0
    assert max(found) <= 5
    assert len(set(found)) > 10


def test_files_that_cannot_be_written_are_listed_with_the_reason(made):
    submission = made[0]
    assert set(submission.missing) == GLUE_FILES - {"WNLI.tsv", "STS-B.tsv"}
    assert submission.missing["CoLA.tsv"] == "no chosen task of the suite has its data"
    assert submission.archive is None
    assert "missing CoLA.tsv, SST-2.tsv, MRPC.tsv, QQP.tsv" in repr(submission)
    assert "WNLI.tsv  146 predictions" in repr(submission)


def test_a_recipe_that_was_not_run_says_which_run_makes_it(made, data):
    with pytest.raises(ArtifactError, match=r"bench run glue --model demo-bert --recipe svd --task wnli --seed 0"):
        bench.submit(glue_suite(), recipe="svd", tasks=["wnli"], data_dir=data, cache=made[1])


def test_the_reference_is_submitted_as_the_recipe_none(made, data, tmp_path):
    found = bench.submit(
        glue_suite(), recipe="none", tasks=["wnli"], data_dir=data, cache=made[1], out=tmp_path / "out"
    )
    assert list(found.files) == ["WNLI.tsv"]


def test_a_complete_submission_is_packed_without_folders(made, data, tmp_path, monkeypatch):
    glue = read_submission("glue")
    only = glue.model_copy(update={"files": tuple(file for file in glue.files if file.name == "WNLI.tsv")})
    monkeypatch.setattr("bench.library.submitting.read_submission", lambda name, **where: only)
    found = bench.submit(glue_suite(), recipe="int8", data_dir=data, cache=made[1], out=tmp_path / "out")
    with zipfile.ZipFile(found.archive) as archive:
        assert archive.namelist() == ["WNLI.tsv"]
        assert len(read_tsv(archive.read("WNLI.tsv").decode())) == 146


def test_a_test_split_that_was_cut_is_refused(made, data, tmp_path):
    cut = tmp_path / "data"
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        (cut / "WNLI").mkdir(parents=True, exist_ok=True)
        lines = (data / "WNLI" / name).read_text(encoding="utf-8").split("\n")
        (cut / "WNLI" / name).write_text("\n".join(lines[:100]), encoding="utf-8")
    with pytest.raises(ArtifactError, match="found 99 predictions, but the grader expects 146"):
        bench.submit(glue_suite(), recipe="int8", tasks=["wnli"], data_dir=cut, cache=made[1])


def test_a_grid_of_variants_is_not_one_submission(data):
    with pytest.raises(SuiteError, match="found 2 variants"):
        bench.submit(glue_suite(), recipe="magnitude-pruning", set={"sparsity": [0.5, 0.6]}, data_dir=data)


def test_a_suite_without_a_format_of_its_own_needs_one():
    suite = glue_suite().model_copy(update={"name": "own"})
    with pytest.raises(UnknownNameError, match=r"--benchmark.*glue"):
        bench.submit(suite, recipe="none")


@pytest.mark.parametrize("name", SUBMISSIONS.names())
def test_every_format_is_valid_and_names_each_file_once(name):
    form = read_submission(name)
    names = [file.name for file in form.files]
    assert len(set(names)) == len(names)


def test_glue_and_superglue_have_the_files_that_their_graders_name():
    assert {file.name for file in read_submission("glue").files} == GLUE_FILES
    assert {file.name for file in read_submission("superglue").files} == SUPERGLUE_FILES


@pytest.mark.parametrize("name", ["glue", "superglue", "elue"])
def test_spellings_are_those_of_the_labels_of_the_suite(name):
    if name not in bench.list_suites():
        pytest.skip(f"there is no suite {name}")
    for task in load_suite(name).tasks:
        for file in read_submission(name).files:
            if f"{task.data.source}/{task.data.subset}" in (file.dataset, *file.of) and task.labels:
                assert set(file.labels) == set(task.labels), file.name


@pytest.mark.parametrize(
    ("file", "trained_on", "head"),
    [
        ("imdb.tsv", "sentiment/imdb", "sentence"),
        ("sst-2.tsv", "glue/sst2", "sentence"),
        ("snli.tsv", "nli/snli", "premise\thypothesis"),
        ("scitail.tsv", "nli/scitail", "premise\thypothesis"),
    ],
)
def test_elues_test_texts_are_read_for_a_model_whose_data_call_the_classes_otherwise(tmp_path, file, trained_on, head):
    form = next(each for each in read_submission("elue").files if each.name == file)
    labels = read_dataset(trained_on).labels
    task = next(each for each in load_suite("elue").tasks if each.data.dataset == trained_on)
    path = tmp_path / read_dataset(form.dataset).folders[0] / "test.tsv"
    path.parent.mkdir(parents=True)
    texts = "a film\tit was good" if "\t" in head else "a film"
    path.write_text(f"index\t{head}\n0\t{texts}\n")
    data = load_data(_asked(task.model_copy(update={"labels": labels}), form), data_dir=tmp_path)
    assert [(each.text, each.label) for each in data.splits["test"]] == [("a film", None)]
    assert set(labels) <= set(form.labels)


def file(layout, rows, **more):
    return SubmissionFile(name="made", dataset="a/b", layout=layout, rows=rows, **more)


def examples(*texts):
    return [Example(uid=f"id-{row}", text=text) for row, text in enumerate(texts)]


def test_json_lines_hold_the_index_and_the_spelled_label():
    lines = lines_of(file("jsonl", 2, labels={"False": "false", "True": "true"}), ["True", "False"], examples("a", "b"))
    assert [json.loads(line) for line in lines] == [{"idx": 0, "label": "true"}, {"idx": 1, "label": "false"}]
    assert [json.loads(line) for line in lines_of(file("jsonl", 1), [1], examples("a"))] == [{"idx": 0, "label": 1}]


def test_questions_and_answers_are_counted_through_all_passages():
    said = [[True, False], [False], [True]]
    given = [Example(uid=uid, text="which?") for uid in ("test-0-0", "test-0-1", "test-1-2")]
    lines = lines_of(file("questions", 4), said, given)
    assert [json.loads(line) for line in lines] == [
        {
            "idx": 0,
            "passage": {
                "questions": [
                    {"idx": 0, "answers": [{"idx": 0, "label": 1}, {"idx": 1, "label": 0}]},
                    {"idx": 1, "answers": [{"idx": 2, "label": 0}]},
                ]
            },
        },
        {"idx": 1, "passage": {"questions": [{"idx": 2, "answers": [{"idx": 3, "label": 1}]}]}},
    ]


def test_questions_without_the_indices_of_their_passage_are_refused():
    with pytest.raises(DataError, match="example id: expected a uid that ends with the indices"):
        lines_of(file("questions", 1), [[True]], [Example(uid="id", text="which?")])


def test_answers_are_one_object_by_the_ids_of_the_data():
    (line,) = lines_of(file("answers", 2), ["Denver", ""], examples("a", "b"))
    assert json.loads(line) == {"id-0": "Denver", "id-1": ""}


def test_a_label_that_the_grader_does_not_have_is_named():
    with pytest.raises(DataError, match="has no label 'maybe'; it has yes, no"):
        lines_of(file("tsv", 1, labels={"yes": "1", "no": "0"}), ["maybe"], examples("a"))


@pytest.mark.parametrize(
    ("said", "labels", "expected"),
    [
        (ClassLogits(np.eye(2)[[1, 0]]), ("no", "yes"), ["yes", "no"]),
        (ClassLogits(np.eye(2)[[1, 0]]), (), [1, 0]),
        (ScoreValues(np.array([2.5])), (), [2.5]),
        (WrittenAnswers(("Denver",)), (), ["Denver"]),
        (AnswersOrNone.of(("Denver", "Rome"), (1.0, -1.0), threshold=0.0), (), ["", "Rome"]),
        (ChosenAnswers(("Rome",), ((1.0, 2.0),)), (), ["Rome"]),
        (ChoiceDecisions(((1.0, -1.0), (2.0,))), (), [[1, 0], [1]]),
        (LabelDecisions(((1.0, -1.0),)), ("joy", "fear"), [["joy"]]),
    ],
)
def test_predictions_of_every_form_are_written_as_people_write_them(said, labels, expected):
    assert said.in_words(labels) == expected
