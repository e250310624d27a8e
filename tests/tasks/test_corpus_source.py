"""A corpus of the texts of several data sets: each once, without what is evaluated on, and named by its content."""

from __future__ import annotations

import pytest

from bench.base.errors import DataError, UnknownNameError
from bench.spec.suite import Source, Task
from bench.tasks.data import load_data

SST2 = {"train": [("a good film", 1), ("a bad film", 0), ("evaluated", 1)], "dev": [("evaluated", 1), ("unseen", 0)]}
RTE = {"train": [("a good film", "it was good"), ("rain", "it was good")], "dev": [("snow", "it snows")]}


@pytest.fixture
def folder(tmp_path):
    for name, rows in SST2.items():
        lines = ["sentence\tlabel", *(f"{text}\t{label}" for text, label in rows)]
        write(tmp_path / "glue" / "SST-2" / f"{name}.tsv", lines)
    for name, rows in RTE.items():
        lines = ["index\tsentence1\tsentence2\tlabel"]
        lines += [f"{row}\t{one}\t{two}\tentailment" for row, (one, two) in enumerate(rows)]
        write(tmp_path / "glue" / "RTE" / f"{name}.tsv", lines)
    return tmp_path


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def corpus(subset="glue/sst2+glue/rte", **more):
    return Task(
        name="general",
        kind="masked_language_modelling",
        metrics=("perplexity",),
        data=Source(source="corpus", subset=subset),
        **more,
    )


def test_texts_of_all_parts_are_there_once_and_none_that_is_evaluated_on(folder):
    data = load_data(corpus(), data_dir=folder)
    assert [each.text for each in data.splits["train"]] == ["a good film", "a bad film", "it was good", "rain"]
    assert [each.text for each in data.splits["validation"]] == ["evaluated", "unseen", "snow", "it snows"]
    assert list(data.splits) == ["train", "validation"]
    assert all(each.label is None and each.pair is None for each in data.splits["train"])
    uids = [each.uid for examples in data.splits.values() for each in examples]
    assert len(set(uids)) == len(uids)
    assert "glue/sst2, train: 2 texts that no other part has before it" in data.notes
    assert "glue/rte, train: 2 texts that no other part has before it" in data.notes
    assert "SST-2/train.tsv" in data.origin
    assert "RTE/dev.tsv" in data.origin


def test_another_text_of_any_part_gives_another_fingerprint(folder):
    before = load_data(corpus(), data_dir=folder).fingerprint()
    assert before == load_data(corpus(), data_dir=folder).fingerprint()
    path = folder / "glue" / "RTE" / "train.tsv"
    path.write_text(path.read_text().replace("rain", "hail"))
    assert load_data(corpus(), data_dir=folder).fingerprint() != before


def test_a_subsample_is_told_as_of_any_data(folder):
    data = load_data(corpus(train_examples=2), data_dir=folder)
    assert len(data.splits["train"]) == 2
    assert "2 of 4 training examples (seed 0)" in data.notes


def test_parts_that_are_missing_or_unknown_are_named(folder):
    with pytest.raises(UnknownNameError, match="glue/sst3"):
        load_data(corpus("glue/sst3"), data_dir=folder)
    with pytest.raises(DataError, match="glue/cola"):
        load_data(corpus("glue/sst2+glue/cola"), data_dir=folder)
    with pytest.raises(DataError, match="no data sets; name one or more"):
        load_data(corpus(" + "), data_dir=folder)
