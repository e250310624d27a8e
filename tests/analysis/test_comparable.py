"""What may be ranked together."""

from __future__ import annotations

import pytest

from bench.analysis.comparable import comparable
from bench.analysis.leaderboard import leaderboard
from bench.analysis.pareto import pareto
from bench.errors import RecordError


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machine": "m2"}, r"2 machines \(m1, m2\).*never ranked together.*--machine"),
        ({"setting_id": "ffffffff"}, r"2 settings \(.*ffffffff.*--setting"),
        ({"suite": "other"}, r"2 suites \(other, trio\)"),
        ({"task_version": 2}, "versions 1, 2"),
        ({"key": "second"}, r"two records \(alpha-svd-0, second\)"),
    ],
)
def test_mixed_records_are_refused_with_what_differs_and_what_to_do(record, suite, change, said):
    records = [record("alpha", "svd"), record("alpha", "svd", **change)]
    with pytest.raises(RecordError, match=said):
        comparable(records)
    for rank in (lambda: leaderboard(suite, records), lambda: pareto(suite, records, ["macs", "quality"])):
        with pytest.raises(RecordError, match=said):
            rank()


def test_records_that_differ_only_in_cell_are_comparable(record):
    comparable([record(task, recipe, seed=seed) for task in "ab" for recipe in ("none", "svd") for seed in (0, 1)])
