from __future__ import annotations

import pytest

from bench.spec.data import read_dataset
from bench.spec.suite import load_suite
from bench.tasks.kinds.kind import KINDS
from bench.tasks.sources.source import needed_splits

GLUE = load_suite("glue")
METRICS = {
    "cola": ("mcc",),
    "sst2": ("accuracy",),
    "mrpc": ("accuracy", "f1"),
    "qqp": ("accuracy", "f1"),
    "stsb": ("pearson", "spearman"),
    "mnli": ("accuracy",),
    "qnli": ("accuracy",),
    "rte": ("accuracy",),
    "wnli": ("accuracy",),
    "ax": ("mcc",),
}


def test_glue_has_its_nine_tasks_and_the_diagnostic_set_with_the_official_metrics():
    assert {task.name: task.metrics for task in GLUE.tasks} == METRICS
    assert GLUE.macro_excludes == ("wnli", "ax")
    assert GLUE.model is None
    assert not GLUE.generated


@pytest.mark.parametrize("name", METRICS)
def test_every_glue_task_names_the_hubs_labels_and_splits(name):
    task = GLUE.task(name)
    assert task.data.source == "glue"
    assert task.labels == read_dataset(f"glue/{name}").labels
    assert set(needed_splits(task)) <= set(read_dataset(f"glue/{name}").files)
    assert KINDS.get(task.kind).head == "sequence-classification"


def test_the_positive_class_of_f1_is_the_paraphrase():
    assert GLUE.task("mrpc").labels[1] == "equivalent"
    assert GLUE.task("qqp").labels[1] == "duplicate"


def test_mnli_is_scored_on_both_validation_sets_and_trains_the_model_of_ax():
    assert GLUE.task("mnli").evaluate == ("validation_matched", "validation_mismatched")
    assert GLUE.task("ax").trained_on == "mnli"
    assert GLUE.task("ax").labels == GLUE.task("mnli").labels


def test_the_parameter_tracks_are_elues():
    bounds = {track.name: track.where[0].at_most for track in GLUE.tracks}
    assert bounds == {"params-40m": 40e6, "params-55m": 55e6, "params-70m": 70e6, "params-110m": 110e6}
    assert {track.rank for track in GLUE.tracks} == {"quality"}
