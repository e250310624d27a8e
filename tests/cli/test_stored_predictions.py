"""What `bench run` stores example by example is enough to compute its numbers again."""

import pytest

from bench.measures.agreement.recompute import recompute
from bench.records.record import read_record
from bench.tasks.prediction_tables import read_predictions


def test_the_predictions_beside_a_record_give_its_numbers_again(finished):
    folder, done = finished
    paths = [path for path in folder.glob("results/tiny/*/*.json") if not path.name.endswith(".failed.json")]
    assert len(paths) == 2, done.stderr
    for path in paths:
        record, found = read_record(path), recompute(path)
        assert {"accuracy", "quality", "label_loyalty", "fidelity_kl", "fidelity_kl_train"} <= set(found)
        assert found == pytest.approx({name: record.values[name] for name in found}, abs=1e-12)
        assert {split: len(seen.uids) for split, seen in read_predictions(path).items()} == {
            "validation": 16,
            "train": 8,
        }
