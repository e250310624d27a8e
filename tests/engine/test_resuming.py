"""Which cells a run leaves alone: those with a record, whatever program named it."""

from __future__ import annotations

import pytest

from bench.artifacts.manifest import TrainingSpent
from bench.artifacts.store import Store
from bench.base.stopwatch import Spans
from bench.engine.jobs import (
    ArtifactProvenance,
    DataProvenance,
    Measured,
    ModelProvenance,
    Provenance,
    ReferenceProvenance,
)
from bench.engine.processes import Ending
from bench.engine.recording import failure_of, record_of
from bench.engine.runner import Places, Run
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import load_recipe
from bench.records.machine import describe_machine
from bench.records.record import StageLog, read_record, write_record, write_text
from bench.spec.suite import load_suite

RECIPES = ("none", "theseus")


@pytest.fixture(scope="module")
def cells():
    suite = load_suite("demo")
    recipes = [load_recipe(name) for name in RECIPES]
    return plan(suite, tasks=suite.tasks[:1], model="demo-bert", recipes=recipes, seeds=[0], conditions=Conditions())


def record_for(cell):
    """The record that a run of the cell would write, without its numbers."""
    cost = {"seconds": 1.0, "steps": 1, "final_loss": 0.5}
    training = TrainingSpent(**cell.suite.training(cell.train_task).model_dump(), **cost)
    provenance = Provenance(
        data=DataProvenance(
            origin="", revision=None, generated=True, fingerprint=cell.data_fingerprint, notes=(), examples={}
        ),
        model=ModelProvenance(fingerprint=cell.model_fingerprint, held=cell.held, outputs=()),
        reference=ReferenceProvenance(content_hash="", training=training),
        artifact=ArtifactProvenance(content_hash="", bytes=1),
    )
    stages = tuple(StageLog(**stage.model_dump(), seconds=1.0) for stage in cell.recipe.stages)
    measured = Measured(spans=Spans(), readings={}, stages=stages, provenance=provenance, known=())
    machine = describe_machine("cpu")
    return record_of(cell, measured, machine=machine, spans=Spans(1.0), other_s=2.0, tables={})


def run(cells, folder):
    return Run(cells[0].suite, cells, places=Places(results=folder / "results", store=Store(folder / "cache")))


def test_a_cell_is_skipped_if_its_record_has_the_name_that_another_program_gave_it(cells, tmp_path):
    paths = [run(cells, tmp_path).record_path(cell) for cell in cells]
    old = [paths[0], paths[1].with_name("sentiment--demo-bert--theseus--seed0--01dkey42.json")]
    for cell, path in zip(cells, old, strict=True):
        write_record(path, record_for(cell))
    again = run(cells, tmp_path)
    assert [event.kind for event in again.go()] == ["skipped", "skipped"]
    assert [again.record_path(cell) for cell in cells] == old
    assert again.summary.skipped == 2
    assert not (tmp_path / "cache").exists()


def test_a_record_of_other_data_leaves_its_cell_to_be_run(cells, tmp_path):
    record = record_for(cells[1])
    data = {**record.provenance["data"], "fingerprint": "other"}
    path = run(cells, tmp_path).record_path(cells[1])
    other = path.with_name("sentiment--demo-bert--theseus--seed0--01dkey42.json")
    write_record(other, record.model_copy(update={"provenance": {**record.provenance, "data": data}}))
    assert run(cells, tmp_path).record_path(cells[1]) == path


def test_a_failed_cell_stays_failed_whatever_its_note_is_called(cells, tmp_path):
    path = run(cells, tmp_path).failure_path(cells[0])
    old = path.with_name("sentiment--demo-bert--none--seed0--01dkey42.failed.json")
    note = failure_of(cells[0], "measure", Ending(cause="it broke"))
    write_text(old, note.model_dump_json(exclude={"data_fingerprint"}))
    again = run(cells[:1], tmp_path)
    assert [(event.kind, event.text) for event in again.go()] == [("failed", "failed before")]
    assert again.failure_path(cells[0]) == old
    write_text(old, note.model_copy(update={"data_fingerprint": "other"}).model_dump_json())
    assert run(cells, tmp_path).failure_path(cells[0]) == path


def test_a_record_keeps_the_seconds_of_its_children_by_activity(cells, tmp_path):
    path = run(cells, tmp_path).record_path(cells[0])
    write_record(path, record_for(cells[0]))
    assert read_record(path).spans_s == {"training": 1.0, "evaluating": 0.0, "measuring": 0.0, "other": 2.0}
