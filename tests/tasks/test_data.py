from __future__ import annotations

import pytest

from bench.base.errors import DataError, UnknownNameError
from bench.spec.suite import Task
from bench.tasks.data import load_data
from bench.tasks.examples import Answer, Example, TaskData, read_data, write_data
from bench.tasks.sources.source import SOURCES, DataSource, needed_splits


def examples(count, label=1):
    return tuple(Example(uid=f"e{n}", text=f"text {n}", label=label) for n in range(count))


def make_task(**changes):
    values = {"kind": "classification", "labels": ("no", "yes"), "metrics": ("accuracy",), **changes}
    return Task(name="made", data={"source": "made", "subset": "t", "seed": values.pop("seed", 0)}, **values)


@pytest.fixture
def given(monkeypatch):
    """Files a data source called "made" that gives the splits put into the returned dictionary."""
    splits = {}

    class Made(DataSource):
        name = "made"

        def load(self, task, *, data_dir):
            return TaskData(splits=dict(splits), origin="a test", revision="r1", generated=True, notes=("one",))

    SOURCES.names()
    monkeypatch.setitem(SOURCES._plugins, "made", Made())
    return splits


def test_only_the_splits_a_task_names_are_kept(given):
    given.update(train=examples(3), validation=examples(2), test=examples(4), shifted=examples(1))
    data = load_data(make_task(ood=("shifted",)), data_dir=None)
    assert list(data.splits) == ["train", "validation", "shifted"]
    assert (data.origin, data.revision, data.generated, data.notes) == ("a test", "r1", True, ("one",))


def test_a_task_trained_on_another_needs_no_training_split(given):
    given.update(validation=examples(2))
    assert list(load_data(make_task(trained_on="other"), data_dir=None).splits) == ["validation"]
    assert needed_splits(make_task(trained_on="other", ood=("validation", "x"))) == ("validation", "x")


def test_a_subsample_is_named_in_the_notes_and_keeps_the_order(given):
    given.update(train=examples(100), validation=examples(50))
    data = load_data(make_task(train_examples=10, evaluate_examples=50), data_dir=None)
    numbers = [int(example.uid[1:]) for example in data.splits["train"]]
    assert len(numbers) == 10
    assert numbers == sorted(numbers)
    assert numbers != list(range(10))
    assert len(data.splits["validation"]) == 50
    assert data.notes == ("one", "10 of 100 training examples (seed 0)")


def test_subsamples_of_one_seed_are_nested_and_seeds_differ(given):
    given.update(train=examples(100), validation=examples(50))

    def chosen(count, seed):
        return set(load_data(make_task(train_examples=count, seed=seed), data_dir=None).splits["train"])

    assert chosen(10, 0) < chosen(30, 0)
    assert chosen(10, 0) == chosen(10, 0)
    assert chosen(10, 0) != chosen(10, 1)


def test_shifted_splits_are_subsampled_like_evaluation_splits(given):
    given.update(train=examples(5), validation=examples(50), shifted=examples(60))
    data = load_data(make_task(ood=("shifted",), evaluate_examples=20), data_dir=None)
    assert [len(data.splits[split]) for split in ("train", "validation", "shifted")] == [5, 20, 20]
    assert data.notes[1:] == ("20 of 50 validation examples (seed 0)", "20 of 60 shifted examples (seed 0)")


def test_an_empty_or_missing_split_is_refused(given):
    given.update(train=examples(3), validation=())
    with pytest.raises(DataError, match="made: split 'validation' of a test has no examples"):
        load_data(make_task(), data_dir=None)


@pytest.mark.parametrize("label", [2, -2, 0.5])
def test_a_label_outside_the_tasks_labels_is_refused(given, label):
    given.update(train=examples(3), validation=examples(2, label=label))
    with pytest.raises(DataError, match=r"split 'validation', example e0: label .* is not one of 0 to 1 \(no, yes\)"):
        load_data(make_task(), data_dir=None)


def test_hidden_labels_may_be_loaded(given):
    given.update(train=examples(3), validation=examples(2, label=None))
    assert load_data(make_task(), data_dir=None).splits["validation"][0].label is None


def test_a_score_that_is_not_finite_is_refused(given):
    given.update(train=examples(3), validation=examples(2, label=float("nan")))
    with pytest.raises(DataError, match="not a finite number"):
        load_data(make_task(kind="regression", labels=(), metrics=("pearson",)), data_dir=None)


def test_an_answer_that_is_not_where_it_says_is_refused(given):
    def asked(start):
        return (Example(uid="q", text="who", pair="it was Ada", answers=(Answer("Ada", start),)),)

    task = make_task(kind="span_qa", labels=(), metrics=("f1",))
    given.update(train=asked(7), validation=asked(7))
    assert load_data(task, data_dir=None).splits["train"] == asked(7)
    given.update(validation=asked(6))
    with pytest.raises(DataError, match="the answer 'Ada' is not at character 6"):
        load_data(task, data_dir=None)


def test_an_unknown_source_is_refused():
    task = make_task().model_copy(update={"data": make_task().data.model_copy(update={"source": "gleu"})})
    with pytest.raises(
        UnknownNameError, match=r"tasks.made.data.source: no data source named 'gleu'. Did you mean 'glue'"
    ):
        load_data(task, data_dir=None)


def test_data_are_read_as_they_were_written_down_to_their_fingerprint(tmp_path):
    answers = (Answer("is", 5), Answer("it", 2))
    every = (
        Example(uid="0", text="t\N{SNOWMAN}\n", pair="a pair", label=1),
        Example(uid="1", text="", label=1.0),
        Example(uid="2", text="q", pair="so it is", answers=answers),
        Example(uid="3", text="s", target="goal"),
        Example(uid="4", text="hidden"),
    )
    data = TaskData(
        splits={"train": every, "odd split": every[:1]}, origin="o", revision=None, generated=True, notes=("n", "m")
    )
    write_data(tmp_path / "x" / "examples.parquet", data)
    read = read_data(tmp_path / "x" / "examples.parquet")
    assert read == data
    assert read.fingerprint() == data.fingerprint()  # which tells 1 from 1.0
    part = read_data(tmp_path / "x" / "examples.parquet", ("odd split",))
    assert (part.splits, part.notes) == ({"odd split": every[:1]}, ("n", "m"))
