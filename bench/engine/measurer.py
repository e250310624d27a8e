"""What a child process does to measure one cell: probe one model, or take every measure of artifact and reference."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch

from bench.artifacts.artifact import load, size_bytes
from bench.artifacts.manifest import NOTHING_MADE
from bench.artifacts.store import Store
from bench.base.errors import UnavailableError
from bench.base.stopwatch import Stopwatch
from bench.engine.jobs import (
    ArtifactProvenance,
    DataProvenance,
    Measured,
    MeasureJob,
    ModelProvenance,
    Probed,
    ProbeJob,
    Provenance,
    ReferenceProvenance,
    Unprobed,
)
from bench.engine.processes import Report
from bench.measures.audit.claims import check_claims
from bench.measures.base.examples import EvaluationExamples
from bench.measures.base.measure import MEASURES, Measure, Pair, ProbingMeasure, Reading
from bench.plan.cell import Cell
from bench.plan.steps import Probe, probed_places, probing
from bench.records.record import not_finite
from bench.tasks.evaluate import Evaluator
from bench.tasks.examples import read_data
from bench.tasks.kinds.kind import KINDS


def probe(job: ProbeJob) -> Probed:
    """One measure's probe of stored models, in this process in which no model has been loaded."""
    watch, cell = Stopwatch(), job.cell
    measure, name, places = job.probe
    plugin = MEASURES.get(measure)
    if not isinstance(plugin, ProbingMeasure):
        raise TypeError(f"measure '{measure}' does not probe")
    directories = tuple(Store(job.store).path(*place) for place in places)
    examples = EvaluationExamples(data=job.data, task=cell.task, max_length=cell.suite.max_length(cell.task))
    options: dict[str, Any] = {"device": cell.conditions.device, "measuring": cell.suite.setting.measuring}
    found = watch.time("measuring", lambda: plugin.probe_on(name, directories, examples, **options))
    return Probed.of(job.probe, found, watch.spans)


def measure(job: MeasureJob, report: Report) -> Measured:
    """Every measure of the cell's artifact beside its reference, both loaded from disk in this fresh process."""
    watch = Stopwatch()
    torch.set_num_threads(job.threads)
    pair, provenance = _pair(job)
    readings: dict[str, Reading] = {}
    evaluated = [each for split in pair.task.evaluate for each in pair.evaluator.examples(split)]
    per_example = pair.kind.per_example(evaluated)
    for index, (name, plugin) in enumerate(MEASURES.items()):
        report(f"measuring {name}", index / len(MEASURES.names()))
        before = pair.evaluator.seconds
        started = time.perf_counter()
        readings[name] = _taken(name, plugin, pair)
        evaluating = pair.evaluator.seconds - before
        measuring = time.perf_counter() - started - evaluating
        _account(readings[name], plugin, measuring, pair)
        if plugin.of_calls:
            readings[name].conditions |= per_example
        watch.add("evaluating", evaluating)
        watch.add("measuring", measuring)
    readings["claims"] = check_claims(readings, pair)
    return Measured(
        spans=watch.spans,
        readings=readings,
        stages=pair.made.stages,
        provenance=provenance,
        known=pair.evaluator.known(pair.reference.content_hash),
    )


def _taken(name: str, plugin: Measure, pair: Pair) -> Reading:
    """The measure's reading, or one without values, if the setting or a function leaves it out."""
    if name in pair.setting.measuring.skip:
        return _skipped(plugin)
    if pair.closed and not plugin.asks:
        reading = Reading()
        reading.leave(pair.closed, *plugin.columns)
        return reading
    return _read(plugin, pair)


def _read(plugin: Measure, pair: Pair) -> Reading:
    """The measure's reading, in which every column of the measure has a value or a reason."""
    try:
        reading = plugin.read(pair)
    except UnavailableError as error:
        reading = Reading()
        reading.leave(str(error), *plugin.columns)
    _leave_what_is_not_finite(reading, plugin)
    missing = [name for name in plugin.columns if name not in reading.values and name not in reading.absent]
    if missing:
        raise RuntimeError(f"measure '{plugin.name}' gave neither a value nor a reason for {', '.join(missing)}")
    return reading


def _leave_what_is_not_finite(reading: Reading, plugin: Measure) -> None:
    """Make a column absent if its value is not finite; raise `RuntimeError` if a sample or a condition is not."""
    for name, value in list(reading.values.items()):
        if not math.isfinite(value):
            del reading.values[name]
            reading.reference.pop(name, None)
            reading.leave(f"measure '{plugin.name}' gave {value}, which is not a finite number", name)
    for name, value in list(reading.reference.items()):
        if not math.isfinite(value):
            del reading.reference[name]
            reading.warn("reference-not-finite", f"{name} of the reference is {value}, so it is left out.")
    place = not_finite({"samples": reading.samples, "conditions": reading.conditions})
    if place is not None:
        raise RuntimeError(f"measure '{plugin.name}' gave a number that is not finite: {place}")


def _skipped(plugin: Measure) -> Reading:
    """A reading without values: the setting leaves the measure out."""
    reading = Reading()
    reading.leave(f"left out: measuring.skip of the setting names '{plugin.name}'", *plugin.columns)
    return reading


def _account(reading: Reading, plugin: Measure, seconds: float, pair: Pair) -> None:
    """Note how long a measure took beside its budget, which the suite may set.

    Neither includes the evaluation of the splits, which several measures share, or probes in processes of their own.
    """
    budget = pair.setting.measuring.budgets_s.get(plugin.name, plugin.budget_s)
    reading.conditions |= {"took_s": seconds, "budget_s": budget}
    if seconds > budget:
        reading.warn(
            "over-budget",
            f"measure {plugin.name} took {seconds:.0f} s; its budget is {budget:.0f} s. Measure less (see `bench "
            f"show {plugin.name}`), or raise measuring.budgets_s.{plugin.name}.",
        )


def _pair(job: MeasureJob) -> tuple[Pair, Provenance]:
    cell, store = job.cell, Store(job.store)
    reference_dir, artifact_dir = store.path(*cell.reference_place), store.path(*cell.artifact_place)
    is_reference = artifact_dir == reference_dir
    device = cell.conditions.device
    reference, artifact = load(reference_dir, device=device), load(artifact_dir, device=device)
    data = read_data(job.data)
    foreign = [] if cell.task.trained_on is None else [f"the model was trained on {cell.task.trained_on}"]
    evaluator = Evaluator(
        task=cell.task,
        data=data,
        max_length=cell.suite.max_length(cell.task),
        token_budget=cell.suite.setting.evaluation_tokens,
        device=device,
        known=job.known,
    )
    training = reference.manifest.training
    pair = Pair(
        task=cell.task,
        setting=cell.suite.setting,
        artifact=artifact,
        reference=reference,
        artifact_dir=artifact_dir,
        reference_dir=reference_dir,
        evaluator=evaluator,
        device=device,
        seed=cell.seed,
        is_reference=is_reference,
        made=NOTHING_MADE if is_reference else artifact.manifest,
        epoch_cpu_s=training.epoch_cpu_s if training else None,
        apart=_apart(job.cell, job.probed),
        widened_bytes=cell.held.widened_bytes if cell.held else 0,
    )
    provenance = Provenance(
        data=DataProvenance(
            origin=data.origin,
            revision=data.revision,
            generated=data.generated,
            fingerprint=cell.data_fingerprint,
            notes=(*data.notes, *foreign),
            examples={name: len(split) for name, split in data.splits.items()},
        ),
        model=ModelProvenance(fingerprint=cell.model_fingerprint, held=cell.held, outputs=cell.conditions.outputs),
        reference=ReferenceProvenance(
            content_hash=reference.content_hash, training=training, as_is=cell.as_is and training is None
        ),
        artifact=ArtifactProvenance(
            content_hash=artifact.content_hash, bytes=None if pair.closed else size_bytes(artifact_dir)
        ),
        system=None if cell.system is None else cell.system.stored(),
    )
    return pair, provenance


def _apart(cell: Cell, probed: Sequence[Probed | Unprobed]) -> dict[str, dict[str, tuple[Any, ...]]]:
    """What the probes gave, by measure and name: one result for each that was called."""
    measuring, found = cell.suite.setting.measuring, {each.probe: each for each in probed}
    return {
        measure: {
            name: tuple(found[Probe(measure, name, places)].result() for places in probed_places(cell, plugin))
            for name in plugin.probes(measuring, KINDS.get(cell.task.kind))
        }
        for measure, plugin in probing(cell)
    }
