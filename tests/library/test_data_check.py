"""What `bench check` says of data: rows, labels, lengths, first rows, and the problems of every split."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.base.errors import DataError, SuiteError
from bench.library.data_check import DataView, Lengths, SplitView, read_tasks
from bench.library.drafting import draft_folder
from bench.spec.suite import load_suite


@pytest.fixture
def own(tmp_path):
    """A function that writes files and gives the suite on them."""

    def made(train, test, **options):
        (tmp_path / "train.csv").write_text(train, encoding="utf-8")
        (tmp_path / "test.csv").write_text(test, encoding="utf-8")
        return bench.own_suite(tmp_path / "train.csv", validation=tmp_path / "test.csv", name="own", **options)

    return made


TRAIN = "text,label\n" + "".join(f"word {'and ' * number}so on,{'ab'[number % 2]}\n" for number in range(6))


def test_labels_lengths_and_first_rows_of_every_split_are_shown(own):
    suite = own(TRAIN, "text,label\none two,a\nthree four five six,b\nseven,a\n", max_length=4)
    sound = bench.check(suite)
    (view,) = sound.data
    validation = view.splits[1]
    assert (validation.rows, validation.labels) == (3, {"a": 2, "b": 1})
    assert validation.lengths == Lengths("words", 3, 2, 4, 0)
    assert view.splits[0].lengths.longer == 4  # 5, 6, 7 and 8 words
    assert not sound.problems
    assert repr(view).splitlines() == [
        "own: classification, local files train.csv, test.csv",
        "  train: 6 rows, 5.5 words in the median, 8 at most; 4 (66.7%) have more than",
        "    max_length = 4: the rest is cut off",
        "    2 labels: a 3 (50.0%), b 3 (50.0%)",
        "    a: word so on",
        "    b: word and so on",
        "    a: word and and so on",
        "  validation: 3 rows, 2 words in the median, 4 at most",
        "    2 labels: a 2 (66.7%), b 1 (33.3%)",
        "    a: one two",
        "    b: three four five six",
        "    a: seven",
    ]


def test_labels_that_a_split_lacks_are_named(own):
    (view,) = bench.check(own(TRAIN, "text,label\none,a\ntwo,a\n")).data
    assert "    1 of 2 labels: a 2 (100.0%); none of b" in repr(view).splitlines()


def test_scores_are_shown_by_their_range(own):
    (view,) = bench.check(own("text,score\na b,1.5\nc d,3\n", "text,score\ne f,2.5\ng,0.5\n")).data
    assert view.splits[0].scores == (1.5, 2.25, 3.0)
    assert "    scores from 1.5 to 3, 2.25 on average" in repr(view).splitlines()


def test_rows_that_stand_in_training_and_evaluation_are_a_warning(own):
    (view,) = bench.check(own(TRAIN, "text,label\nword so on,a\nother,b\n")).data
    assert any("train" in warning for warning in view.warnings)
    assert view.problems == ()


def test_problems_of_several_splits_are_listed_with_file_and_line(own, tmp_path):
    suite = own(TRAIN, "text,label\nx,a\ny,c\n")
    (tmp_path / "more.csv").write_text("text,label\nx,a,b\n", encoding="utf-8")
    table = suite.model_dump(exclude_unset=True)
    table["tasks"][0]["data"]["files"]["test"] = "more.csv"
    table["tasks"][0]["evaluate"] = ["validation", "test"]
    sound = bench.check(bench.Suite.model_validate(table))
    assert len(sound.problems) == 2
    assert "test.csv:3" in sound.problems[0]
    assert "more.csv:2" in sound.problems[1]
    assert "own has 2 problems in its data" in repr(sound)


def test_a_models_tokens_are_counted_and_its_outputs_compared(own, tmp_path, tiny_bert, tokenizer):
    model = tiny_bert()
    model.config.id2label, model.config.label2id = {0: "b", 1: "a"}, {"b": 0, "a": 1}
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    suite = own(TRAIN, "text,label\none two,a\nthree,b\n", max_length=16)
    (view,) = read_tasks(suite, data_dir=Path(suite.data_dir), model=str(tmp_path / "model"))
    assert view.splits[0].lengths.unit == "tokens"
    assert view.splits[0].lengths.longest == 8 + 2
    assert any("another order in" in note and "a is output 1, b is output 0" in note for note in view.notes)
    long = suite.model_copy(update={"setting": suite.setting.model_copy(update={"max_length": 128})})
    (view,) = read_tasks(long, data_dir=Path(suite.data_dir), model=str(tmp_path / "model"))
    assert any("takes at most 64 tokens" in problem for problem in view.problems)


def test_long_lines_fit_80_columns():
    suite = load_suite("demo")
    split = SplitView("train", 9, (), {f"a_very_long_label_{n}": n for n in range(9, 0, -1)}, None, None)
    view = DataView(task=suite.tasks[0], most=64, splits=(split,), warnings=("a long sentence " * 20,))
    assert all(len(line) <= 80 for line in repr(view).splitlines())


def test_a_folder_without_usual_names_is_drafted_by_what_is_in_its_only_file(tmp_path):
    rows = [f"{'ham' if number % 3 else 'spam'}\tmessage number {number} for you" for number in range(30)]
    (tmp_path / "SMSSpamCollection").write_text("\n".join(rows) + "\n", encoding="utf-8")
    made = draft_folder(tmp_path)
    assert made.reasons[:2] == (
        "SMSSpamCollection is train: it is the only file",
        "SMSSpamCollection has no header: its first line is a row",
    )
    (task,) = load_suite(str(made.path)).tasks
    assert task.data.columns == {"text": "column2", "label": "column1"}
    assert (task.data.format, task.data.header) == ("tsv", ("column1", "column2"))
    assert not bench.check(made.path).problems


def test_a_test_file_without_labels_is_left_out(tmp_path):
    (tmp_path / "train.tsv").write_text("sentence\tlabel\n" + '"a b\tx\nc d\ty\n' * 9, encoding="utf-8")
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\ne f\tx\n", encoding="utf-8")
    (tmp_path / "test.tsv").write_text("index\tsentence\n0\tg h\n", encoding="utf-8")
    made = draft_folder(tmp_path)
    assert "test.tsv is left out: it lacks the columns label of the training file" in made.reasons
    (task,) = load_suite(str(made.path)).tasks
    assert task.data.files == {"train": "train.tsv", "validation": "dev.tsv"}
    assert not task.data.quotes


def test_a_folder_that_cannot_be_drafted_is_refused_with_what_is_there(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        draft_folder(tmp_path / "none")
    (tmp_path / "orig").mkdir()
    with pytest.raises(DataError, match=r"no file that ends in .*Its folders: orig; name one of them"):
        draft_folder(tmp_path)
    (tmp_path / "a.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"no file is called train\.\.\.; found a\.csv, b\.csv"):
        draft_folder(tmp_path)
    (tmp_path / "train.csv").write_text("p,q\nhello,hello\n", encoding="utf-8")
    with pytest.raises(SuiteError, match=r"--label: which column of train\.csv"):
        draft_folder(tmp_path)


def test_a_folder_of_data_that_is_not_there_is_told_once(tmp_path):
    with pytest.raises(DataError, match=f"--data-dir {tmp_path / 'nodir'}: no such folder"):
        bench.check("glue", data_dir=tmp_path / "nodir")


def test_scores_that_are_all_the_same_are_a_problem(own):
    suite = own("text,score\na,3\nb,3\n", "text,score\nc,1\n", score="score")
    (problem,) = bench.check(suite).problems
    assert problem.startswith("own: all 2 examples of 'train' have the score 3, so there is nothing to learn.")
