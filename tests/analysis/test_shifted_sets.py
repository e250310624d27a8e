"""The shifted sets of records as a table."""

import pytest
from conftest import make_failure, make_record

from bench.analysis.shifted_sets import by_set
from bench.analysis.table import Absent
from bench.base.errors import RecordError

HANS = {
    "examples": 30,
    "quality": {"artifact": 0.5, "reference": 0.6},
    "gap": {"artifact": 0.3, "reference": 0.2},
    "relative_bias": 1.5,
    "groups": {
        "artifact": {
            "overlap": {"examples": 20, "accuracy": 0.6, "quality": 0.6},
            "constituent": {"examples": 10, "absent": "one class only"},
        },
        "reference": {},
    },
}
ADDSENT = {
    "examples": 5,
    "quality": {"artifact": 0.4, "reference": 0.4},
    "gap": {"artifact": 0.1, "reference": "labels are hidden"},
    "relative_bias": "the reference has no gap",
    "altered": {
        "artifact": {
            "original": {"examples": 2, "quality": 0.7},
            "altered": {"examples": 3, "quality": 0.2},
            "pairs": {"examples": 2, "original": 0.7, "altered": 0.3, "gap": 0.4},
            "worst": "not a mean over examples",
        },
        "reference": {},
    },
}


def shifted_record(recipe, **sets):
    return make_record("alpha", recipe, conditions={"robustness": {"sets": sets}})


def shown(table, *names):
    return [tuple(row[name] for name in names) for row in table.rows]


def test_each_set_has_a_row_and_its_parts_follow_it():
    table = by_set([shifted_record("svd", hans=HANS, addsent=ADDSENT)])
    assert shown(table, "set", "part", "examples", "ood_quality") == [
        ("hans", "all", 30, 0.5),
        ("hans", "overlap", 20, 0.6),
        ("hans", "constituent", 10, Absent("one class only")),
        ("addsent", "all", 5, 0.4),
        ("addsent", "original", 2, 0.7),
        ("addsent", "altered", 3, 0.2),
    ]
    assert shown(table, "ood_gap", "ood_relative_bias")[0] == (0.3, 1.5)
    assert shown(table, "ood_relative_bias")[3] == (Absent("the reference has no gap"),)


def test_the_reference_comes_first_and_failures_are_named():
    table = by_set([shifted_record("svd", hans=HANS), shifted_record("none", hans=HANS)], [make_failure("alpha", "q")])
    assert [recipe for (recipe,) in shown(table, "recipe")] == ["none"] * 3 + ["svd"] * 3
    assert "alpha, q, seed 0: failed" in table.notes[0]


def test_a_reason_instead_of_altered_scores_leaves_the_whole_set():
    broken = {**ADDSENT, "altered": {"artifact": "no id ends so", "reference": "no id ends so"}}
    assert shown(by_set([shifted_record("svd", addsent=broken)]), "part") == [("all",)]


def test_records_without_shifted_data_are_named_as_such():
    with pytest.raises(RecordError, match="no record has the scores of single shifted sets"):
        by_set([make_record("alpha", "none")])
