"""Paired changes from stored predictions, against closed forms on made-up answers."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.compare import compare, side_of
from bench.analysis.paired import StoredRecord, paired_change
from bench.analysis.table import Absent
from bench.base.errors import RecordError
from bench.records.record import write_record
from bench.records.tables import table_path, write_tables

COUNT = 400


@pytest.fixture
def stored(tmp_path, record):
    """A function that files a classifier's record with its predictions and gives both back."""

    def build(recipe, right, *, agrees=None, uids=None, hidden=False, keep=True):
        truth = np.arange(COUNT) % 2
        said = np.where(right, truth, 1 - truth)
        reference = said if agrees is None else np.where(agrees, said, 1 - said)
        table = {
            "split": ["validation"] * COUNT,
            "uid": uids or [f"u{index}" for index in range(COUNT)],
            "truth": [None] * COUNT if hidden else truth.tolist(),
            "artifact": np.eye(2)[said].tolist(),
            "reference": np.eye(2)[reference].tolist(),
        }
        path = tmp_path / f"alpha--tiny--{recipe}--seed0.json"
        tables = write_tables(path, [{"predictions": table} if keep else {}])
        accuracy = float(np.mean(right))
        values = {"accuracy": accuracy, "label_loyalty": 1.0 if agrees is None else float(np.mean(agrees))}
        conditions = {"agreement": {"splits": ["validation"]}}
        made = record("alpha", recipe, accuracy, values=values, conditions=conditions, provenance={"tables": tables})
        write_record(path, made)
        return StoredRecord(record=made, path=path)

    return build


@pytest.fixture
def answers():
    """Two classifiers that are right on 80 and 75 % of the examples and disagree on few."""
    first = np.arange(COUNT) < 320
    second = first.copy()
    second[:30] = False
    second[-10:] = True
    return first, second


def test_the_paired_interval_is_that_of_the_discordant_examples(stored, answers):
    first, second = answers
    found, p = paired_change("quality", stored("a", first), stored("b", second))
    assert found.middle == pytest.approx((10 - 30) / COUNT)
    half = 1.96 * np.sqrt((10 + 30) / COUNT - found.middle**2) / np.sqrt(COUNT)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.15)
    assert p < 0.01  # each score's own interval is 4 points to either side, wider than the difference of 5


def test_predictions_call_a_drop_that_two_separate_intervals_cannot(stored, answers):
    first, second = (stored(name, right) for name, right in zip("ab", answers, strict=True))
    done = compare(
        side_of("a", [first], with_recipe=False), side_of("b", [second], with_recipe=False), ["quality"], title="t"
    )
    overall = done.lines[0]
    assert (overall.change.test, overall.verdict) == ("paired bootstrap", "worse")


def test_loyalty_is_paired_too(stored, answers):
    right, _ = answers
    first = stored("a", right, agrees=np.arange(COUNT) < 360)
    second = stored("b", right, agrees=np.arange(COUNT) < 380)
    found, p = paired_change("label_loyalty", first, second)
    assert found.middle == pytest.approx(0.05)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.sqrt(0.05 * 0.95 / COUNT), rel=0.15)
    assert p < 0.01


def test_a_model_does_not_differ_from_itself(stored, answers):
    one, other = stored("a", answers[0]), stored("b", answers[0])
    assert paired_change("quality", one, other) == ((0.0, 0.0, 0.0), 1.0)


def test_other_examples_hidden_labels_and_records_without_predictions_are_not_paired(stored, answers):
    one = stored("a", answers[0])
    renamed = stored("b", answers[0], uids=[f"v{index}" for index in range(COUNT)])
    assert paired_change("quality", one, renamed) == Absent("the two records were evaluated on different examples")
    bare = stored("c", answers[0], keep=False)
    assert paired_change("quality", one, bare) == Absent("a record was stored without its predictions")
    hidden = [stored(name, answers[0], hidden=True) for name in ("d", "e")]
    assert paired_change("quality", *hidden) == Absent("the labels are hidden")


def test_predictions_that_were_altered_are_refused_and_not_passed_over(stored, answers):
    one, other = stored("a", answers[0]), stored("b", answers[1])
    table_path(other.path, "predictions").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="is not the file"):
        paired_change("quality", one, other)
