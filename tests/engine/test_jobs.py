"""What processes hand each other: every job and every result equals what is read from its written form."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.artifacts.artifact import save
from bench.artifacts.manifest import TrainingSpent
from bench.base.stopwatch import Spans
from bench.engine.jobs import (
    ArtifactProvenance,
    CompressJob,
    DataProvenance,
    Made,
    Measured,
    MeasureJob,
    ModelProvenance,
    Probed,
    ProbeJob,
    Provenance,
    ReferenceProvenance,
    TrainJob,
    Unprobed,
    read_job,
)
from bench.measures.base.measure import MEASURES, ProbingMeasure, Reading
from bench.measures.timing.rounds import Round
from bench.models.stored import Held
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import expand, load_recipe
from bench.plan.steps import Probe
from bench.records.record import StageLog
from bench.spec.suite import load_suite, suite_names
from bench.tasks.evaluate import Remembered

TRAINING = TrainingSpent(seconds=1.5, steps=3, final_loss=0.1)
PLACES = (("artifacts", "aa"), ("references", "bb"))
QUICK = {"processes": 1, "pairs": 5, "seconds": 0.01, "patience_seconds": 0.02, "sweep_seconds": 0.01, "length": 8}
QUICK |= {"throughput_batch": 2, "energy_seconds": 0.1, "energy_sample_s": 0.05, "sweep_lengths": [64, 65]}
QUICK = [(f"measuring.{key}", value) for key, value in QUICK.items()]


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A cell whose recipe has stages with lists among its arguments."""
    suite = load_suite("demo", overrides=[("sentiment.training", {"epochs": 1})])
    recipes = [load_recipe("theseus"), load_recipe("magnitude-pruning", {"sparsity": 0.5})]
    conditions = Conditions(data_dir=tmp_path_factory.mktemp("data"), outputs=())
    return plan(suite, tasks=suite.tasks[:1], model=suite.model, recipes=recipes, seeds=[3], conditions=conditions)[1]


def test_every_job_equals_what_is_read_from_its_written_form(cell, tmp_path):
    known = (Remembered(("hash", "predictions", "validation", None), [[0.1, 0.2]]), Remembered(("hash", 7), {"1": 2}))
    probe = Probe("latency", "process-0", PLACES)
    probed = (Probed(probe=probe, spans=Spans(1.0), found=[1, None]), Unprobed(probe=probe, reason="no power meter"))
    training = {"cell": cell, "store": tmp_path, "data": tmp_path / "data", "threads": 2, "alone": True}
    jobs = [
        TrainJob(**training),
        CompressJob(**training),
        ProbeJob(cell=cell, store=tmp_path, data=tmp_path, probe=probe),
        MeasureJob(cell=cell, store=tmp_path, data=tmp_path, threads=1, known=known, probed=probed),
    ]
    for job in jobs:
        read = read_job(job.write())
        assert read == job
        assert type(read) is type(job)
        assert (read.cell.key, read.cell.stage_keys, read.cell.slug) == (cell.key, cell.stage_keys, cell.slug)
        assert read.write() == job.write()


@pytest.mark.parametrize("name", suite_names())
def test_every_cell_of_every_suite_equals_what_is_read_from_its_written_form(name, cell, tmp_path):
    suite = load_suite(name)
    for recipe in (recipe for chosen in suite.recipes for recipe in expand(chosen)):
        task = suite.tasks[-1]
        one = replace(cell, suite=suite, task=task, train_task=task, recipe=recipe, fit=None)
        job = ProbeJob(cell=one, store=tmp_path, data=tmp_path, probe=Probe("start", "start", PLACES))
        assert read_job(job.write()) == job


def test_a_measured_cell_equals_what_is_read_from_its_written_form():
    reading = Reading(values={"macs": 3, "quality": 0.1}, samples={"loads": [1.0, math.inf]}, absent={"bops": "why"})
    reading.warn("code", "says")
    reading.tables["laps"] = {"pair": [0, 1], "text": ["\N{SNOWMAN}", None], "seconds": [1e-300, 0.1 + 0.2]}
    model = ModelProvenance(fingerprint="f", held=Held(bytes_by_dtype={"F16": 8}, widened_bytes=8), outputs=("a", "b"))
    measured = Measured(
        spans=Spans(1.0, 2.0, 3.0),
        readings={"made": reading},
        stages=(StageLog(method="m", arguments={"to": [1, "a"]}, seconds=1.0),),
        provenance=Provenance(
            data=DataProvenance(
                origin="o", revision=None, generated=True, fingerprint="d", notes=("n",), examples={"train": 3}
            ),
            model=model,
            reference=ReferenceProvenance(content_hash="r", training=TRAINING),
            artifact=ArtifactProvenance(content_hash="a", bytes=3),
        ),
        known=(Remembered(("a", 1, None), {"x": 1.5}),),
    )
    read = Measured.read(measured.write())
    assert read == measured
    assert isinstance(read.readings["made"].values["macs"], int)
    assert Made.read(Made(spans=Spans(0.1)).write()) == Made(spans=Spans(0.1))


def test_a_record_keeps_of_the_model_only_what_there_is():
    data = DataProvenance(origin="o", revision=None, generated=True, fingerprint="d", notes=(), examples={})
    reference = ReferenceProvenance(content_hash="r", training=TRAINING)
    artifact = ArtifactProvenance(content_hash="a", bytes=3)
    model = ModelProvenance(fingerprint="f", held=None, outputs=())
    provenance = Provenance(data=data, model=model, reference=reference, artifact=artifact)
    assert provenance.stored()["model"] == {"fingerprint": "f"}
    assert "cpu_s" not in provenance.stored()["reference"]["training"]
    held = Held(bytes_by_dtype={}, widened_bytes=0)
    named = provenance.model_copy(update={"model": ModelProvenance(fingerprint="f", held=held, outputs=("a",))})
    assert set(named.stored()["model"]) == {"fingerprint", "held", "outputs"}


@pytest.mark.parametrize("name", [name for name, each in MEASURES.items() if isinstance(each, ProbingMeasure)])
def test_what_a_probe_finds_equals_what_is_read_from_its_written_form(name, tiny_bert, tokenizer, tmp_path):
    measure, measuring = MEASURES.get(name), load_suite("demo", overrides=QUICK).setting.measuring
    if name == "decoding":
        assert measure.finds is Round  # what latency adds to is tested with it
        return
    directory = tmp_path / "model"
    save(tiny_bert(), directory, tokenizer=tokenizer)
    called = measure.probes(measuring, "classification")[0]
    found = measure.probe(called, (directory,) * (1 + measure.together), device="cpu", measuring=measuring)
    probed = Probed.of(Probe(name, called, PLACES), found, Spans())
    read = Probed.read(probed.write())
    assert read == probed
    assert read.result() == found
