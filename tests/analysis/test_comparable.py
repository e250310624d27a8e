"""What may be ranked together."""

from __future__ import annotations

import pytest

from bench.analysis.comparable import comparable, differing
from bench.analysis.leaderboard import leaderboard
from bench.analysis.pareto import pareto
from bench.base.errors import RecordError


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


def test_the_refusal_names_every_key_of_the_setting_that_differs(record):
    one = {"training": {"epochs": 3.0, "batch_size": 32}, "measuring": {"threads": 1}, "task_changes": []}
    other = {"training": {"epochs": 2.0, "batch_size": 32}, "measuring": {"threads": 2}, "task_changes": ["a.x=1"]}
    records = [
        record("alpha", "svd", setting=one, setting_id="aaaa"),
        record("beta", "svd", setting=other, setting_id="bbbb"),
    ]
    with pytest.raises(RecordError) as caught:
        comparable(records)
    assert str(caught.value) == (
        "the 2 records come from 2 settings (aaaa, bbbb), and different settings are never ranked together. "
        "Choose one with --setting ID, or run everything with one setting. The settings differ in "
        "measuring.threads: 1 against 2; task_changes: none against a.x=1; training.epochs: 3.0 against 2.0."
    )


def test_the_refusal_names_every_key_of_the_machine_that_differs_in_the_order_of_the_ids(record):
    records = [
        record("alpha", "svd", machine="m2").model_copy(
            update={"machine": {"processor": "AMD EPYC", "cores": 4, "gpu": "H200"}}
        ),
        record("beta", "svd").model_copy(update={"machine": {"processor": "AMD EPYC", "cores": 2}}),
    ]
    with pytest.raises(RecordError, match=r"The machines differ in cores: 2 against 4; gpu: not set against H200\.$"):
        comparable(records)


def test_a_suites_version_alone_is_named_and_so_is_that_nothing_differs(record):
    changed = [record("alpha", "svd"), record("beta", "svd", setting_id="ffffffff", suite_version=2)]
    with pytest.raises(RecordError, match=r"suite_version: [12] against [12]"):
        comparable(changed)
    with pytest.raises(RecordError, match="The records do not show how the settings differ"):
        comparable([record("alpha", "svd"), record("beta", "svd", setting_id="ffffffff")])


def test_equal_keys_are_not_named_and_long_lists_are_counted(record):
    assert differing([{"a": {"b": 1, "c": [1, 2]}}, {"a": {"b": 1, "c": [1, 2]}}]) == []
    assert differing([{"a": 1}, {"a": 2}, {"a": 1}, {}]) == ["a: 1 against 2 against not set"]
    one, other = ({f"k{index}": value for index in range(9)} for value in (0, 1))
    records = [
        record("alpha", "svd", setting=one),
        record("beta", "svd", setting=other, setting_id="ffffffff"),
    ]
    with pytest.raises(RecordError, match=r"k5: \d against \d; and 3 more\."):
        comparable(records)


def test_attacks_of_different_versions_or_sources_are_refused_and_of_one_are_not(record):
    def attacked(task, recipe, **told):
        return record(task, recipe, values={"attack_accuracy": 0.5}, conditions={"attack": told})

    older = attacked("a", "none", query_budget=40)  # the first version had no number
    newer = attacked("a", "svd", version=2, sources={"typing-errors": "typing"})
    with pytest.raises(RecordError, match=r"different ways \(version 1; version 2 with typing-errors\)"):
        comparable([older, newer])
    more = attacked("a", "prune", version=2, sources={"wordnet": "word", "typing-errors": "typing"})
    with pytest.raises(RecordError, match=r"with typing-errors; version 2 with typing-errors, wordnet"):
        comparable([newer, more])
    skipped = record("a", "prune", conditions={"attack": {"took_s": 0.0}})
    comparable([older, record("a", "svd"), skipped])
    comparable([newer, skipped])


def test_a_field_of_the_setting_that_was_added_later_is_no_difference(record):
    older, newer = {"measuring": {"length": 32}}, {"measuring": {"length": 64, "processes": 1, "real_lengths": False}}
    records = [
        record("alpha", "svd", setting=each, setting_id=f"{place:08}") for place, each in enumerate((older, newer))
    ]
    with pytest.raises(RecordError) as error:
        comparable(records)
    assert "measuring.length: 32 against 64" in str(error.value)
    assert "real_lengths" not in str(error.value)
    assert "processes" not in str(error.value)
