"""The suites of benchmarks have the tasks, metrics and rules of their rules, and their data sets say what they are."""

from __future__ import annotations

import pytest

from bench.spec.data import DATASETS, read_dataset
from bench.spec.suite import load_suite

SUITES = ("superglue", "squad", "elue", "intent", "spam", "mobile")
SUPERGLUE = {
    "boolq": ("accuracy",),
    "cb": ("accuracy", "macro_f1"),
    "copa": ("accuracy",),
    "multirc": ("f1", "exact_match"),
    "record": ("exact_match", "f1"),
    "rte": ("accuracy",),
    "wic": ("accuracy",),
    "wsc": ("accuracy",),
    "axb": ("mcc",),
    "axg": ("accuracy", "gender_parity"),
}
ELUE = {
    "sst2": ("accuracy",),
    "imdb": ("accuracy",),
    "snli": ("accuracy",),
    "scitail": ("accuracy",),
    "mrpc": ("accuracy", "f1"),
    "stsb": ("pearson", "spearman"),
}


def metrics(suite):
    return {task.name: task.metrics for task in suite.tasks}


def test_superglue_has_its_eight_tasks_and_two_diagnostic_sets_with_the_official_metrics():
    suite = load_suite("superglue")
    assert metrics(suite) == SUPERGLUE
    assert suite.macro_excludes == ("axb", "axg")
    assert {task.trained_on for task in suite.tasks if task.name in suite.macro_excludes} == {"rte"}


def test_squad_has_both_versions_in_windows_of_384_tokens():
    suite = load_suite("squad")
    assert metrics(suite) == dict.fromkeys(("squad-v1", "squad-v2"), ("exact_match", "f1"))
    assert suite.setting.max_length == suite.setting.measuring.length == 384
    assert [track.rank for track in suite.tracks] == ["f1"]
    assert [task.kind for task in suite.tasks] == ["span_qa", "span_qa_no_answer"]
    assert suite.task("squad-v1").shifted["addsent"].data.dataset == "adversarial-squad/addsent"


def test_elue_has_six_tasks_with_the_official_metrics_and_a_measured_baseline():
    suite = load_suite("elue")
    assert metrics(suite) == ELUE
    assert suite.baseline.recipe == "small-from-pretrained"
    assert suite.baseline.curves == ()
    grids = {each.recipe: each.set for each in suite.recipes if not isinstance(each, str)}
    assert list(grids) == ["small-from-pretrained", "elasticbert"]
    assert tuple(grids["elasticbert"]["criterion.layer"]) == (1, 2, 3, 4, 5, 6)
    assert [track.rank for track in suite.tracks] == ["elue_score", *["quality"] * 4]
    assert [track.where[0].at_most for track in suite.tracks[1:]] == [40e6, 55e6, 70e6, 110e6]


def test_intent_has_the_four_sets_and_the_class_of_texts_out_of_scope():
    suite = load_suite("intent")
    assert [task.data.dataset for task in suite.tasks] == [
        "intent/banking77",
        "intent/clinc150",
        "intent/atis",
        "intent/snips",
    ]
    clinc = suite.task("clinc150")
    assert (clinc.out_of_scope, clinc.threshold) == ("oos", "validation")
    assert "oos_recall" in clinc.metrics


def test_spam_is_scored_by_f1_correlation_and_lost_messages():
    suite = load_suite("spam")
    assert metrics(suite) == {"sms": ("f1", "mcc", "fpr_at_99_recall")}
    assert read_dataset(suite.tasks[0].data.dataset).labels[1] == "spam"


def test_mobile_has_intent_retrieval_and_spam_on_one_thread_and_one_example_per_call():
    suite = load_suite("mobile")
    assert [task.name for task in suite.tasks] == ["intent", "retrieval", "spam"]
    measuring = suite.setting.measuring
    assert (measuring.threads, measuring.batch_size, measuring.length) == (1, 1, 32)


@pytest.mark.parametrize("name", SUITES)
def test_the_tasks_of_a_benchmark_name_data_sets_and_no_labels(name):
    for task in load_suite(name).tasks:
        assert task.data.dataset is not None, task.name
        assert task.labels == ()


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_data_set_says_what_it_is_and_where_it_comes_from(name):
    data = read_dataset(name)
    assert data.title
    assert data.cite
    assert data.licence
    assert data.sizes or data.notes
    assert data.local or (data.hub and data.hub.id)
    assert data.hub is None or data.hub.revision or not data.hub.verified
    published = set(data.files) | set(data.cut.shares if data.cut else ()) | ({"corpus"} if data.corpus else set())
    assert not data.files or set(data.sizes) <= published | set(data.hub.splits if data.hub else ())
