"""Tables beside a record: written before it, equal when read, refused where missing or altered."""

import os

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_record import make

from bench.base.errors import RecordError
from bench.records.record import read_record, write_record
from bench.records.tables import _narrowed, read_table, table_path, write_tables
from bench.tasks.prediction_tables import read_predictions

TABLE = {
    "split": ["validation"] * 2 + ["train"],
    "uid": ["v-0", "v-1", "t-0"],
    "truth": [1, None, 0],
    "artifact": [[0.5, -1.25], [3.0, 2.0], [0.0, 1.0]],
    "reference": [[0.25, -1.0], [1.0, 2.0], [0.0, 1.0]],
}


def store(record, **tables):
    """Write the tables and then the record, as a run does."""
    written = write_tables(record, [{}, tables])
    write_record(record, make(provenance={"tables": written}))
    return record


@pytest.fixture
def record(tmp_path):
    return store(
        tmp_path / "task--model-v1.5--seed0.json", predictions=TABLE, attack={"uid": ["v-0"], "flipped": [True]}
    )


def test_every_table_is_read_back_equal(record):
    assert read_table(record, "predictions") == TABLE
    assert read_table(record, "attack") == {"uid": ["v-0"], "flipped": [True]}
    assert read_record(record).provenance["tables"]["predictions"]["rows"] == 3
    assert table_path(record, "attack").name == "task--model-v1.5--seed0.attack.parquet"


def test_predictions_come_back_by_split_in_the_order_of_the_data(record):
    seen = read_predictions(record)
    assert list(seen) == ["validation", "train"]
    assert seen["validation"].uids == ("v-0", "v-1")
    assert seen["validation"].truth == (1, None)
    assert seen["validation"].artifact.logits.tolist() == TABLE["artifact"][:2]
    assert seen["train"].reference.logits.tolist() == TABLE["reference"][2:]


@pytest.mark.parametrize(
    ("field", "said", "truth"), [("values", [0.1, 2.5], [0.0, 5.0]), ("answers", ["a", ""], [["a", "b"], ["c"]])]
)
def test_scores_and_answers_are_kept_too(tmp_path, field, said, truth):
    table = {"split": ["v"] * 2, "uid": ["0", "1"], "truth": truth, "artifact": said, "reference": said}
    seen = read_predictions(store(tmp_path / "a.json", predictions=table))["v"]
    assert list(getattr(seen.artifact, field)) == said
    assert list(seen.truth) == truth


def test_an_altered_table_is_refused(record):
    path = table_path(record, "predictions")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"predictions\.parquet: not the file .* was written with"):
        read_table(record, "predictions")


def test_a_missing_table_is_refused_by_name(record):
    table_path(record, "predictions").unlink()
    with pytest.raises(RecordError, match=r"predictions\.parquet: cannot be read.*copy both together"):
        read_predictions(record)


def test_a_record_without_the_table_says_which_it_has(record):
    with pytest.raises(RecordError, match=r"no table 'shifted' was stored.*Stored: attack, predictions"):
        read_table(record, "shifted")


def test_a_record_older_than_tables_says_that_it_has_none(tmp_path):
    write_record(tmp_path / "old.json", make())
    with pytest.raises(RecordError, match="Stored: none"):
        read_predictions(tmp_path / "old.json")


def test_a_table_of_something_else_is_not_read_as_predictions(record):
    with pytest.raises(RecordError, match="not a table of predictions: no column split"):
        read_predictions(record, "attack")


def test_a_table_left_without_its_record_is_written_again(tmp_path):
    path = tmp_path / "a.json"
    write_tables(path, [{"predictions": {"uid": ["old"]}}])
    store(path, predictions=TABLE)
    assert read_table(path, "predictions") == TABLE


def test_the_tables_of_a_record_are_never_written_again(record):
    before = table_path(record, "predictions").read_bytes()
    with pytest.raises(RecordError, match="ever changed"):
        write_tables(record, [{"predictions": {"uid": ["new"]}}])
    assert table_path(record, "predictions").read_bytes() == before


def test_two_measures_cannot_share_a_table_name(tmp_path):
    both = [{"attack": {"uid": ["a"]}}] * 2
    with pytest.raises(ValueError, match="two measures"):
        write_tables(tmp_path / "a.json", both)


def test_a_full_disk_leaves_neither_a_table_nor_a_piece_of_one(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="No space left on device"):
        write_tables(tmp_path / "a.json", [{"predictions": TABLE}])
    assert list(tmp_path.iterdir()) == []


def test_a_thousand_examples_of_two_classes_take_little_more_than_their_logits(tmp_path):
    numbers = [[float(np.float32(row * 0.37)), -0.5] for row in range(1000)]
    table = {"split": ["v"] * 1000, "uid": [f"v-{row}" for row in range(1000)], "artifact": numbers}
    write_tables(tmp_path / "a.json", [{"predictions": table}])
    assert table_path(tmp_path / "a.json", "predictions").stat().st_size < 1000 * 2 * 4 + 6000


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_a_number_is_kept_in_few_bits_only_where_that_loses_nothing(numbers):
    assert _narrowed(pyarrow.array(numbers, pyarrow.float64())).to_pylist() == numbers


def test_what_a_model_gives_is_kept_in_32_bits_and_other_numbers_in_64():
    assert _narrowed(pyarrow.array([[0.5, 1.25]])).type == pyarrow.list_(pyarrow.float32())
    assert _narrowed(pyarrow.array([0.1])).type == pyarrow.float64()
