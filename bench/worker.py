"""What a child process does with one cell: train its reference, compress it, measure the artifact beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from bench.artifact import Loaded, load, read_manifest, save, size_bytes
from bench.cell import Cell, Job, Probe
from bench.errors import UnavailableError
from bench.measures.audit import audit
from bench.measures.claims import check_claims
from bench.measures.energy.meter import EnergyMeter
from bench.measures.measure import MEASURES, Measure, Pair, ProbingMeasure, Reading
from bench.methods.method import Lab
from bench.models.source import ModelSource, open_source
from bench.processes import Report
from bench.store import Kind, Store
from bench.tasks.evaluate import Evaluator
from bench.tasks.examples import TaskData
from bench.tasks.kinds.kind import KINDS, Feature
from bench.training.loop import train


class _Stopwatch:
    """Seconds by activity, for the split that a run prints at its end."""

    def __init__(self) -> None:
        self.spans: dict[str, float] = {"training": 0.0, "evaluating": 0.0, "measuring": 0.0}

    def time(self, activity: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self.spans[activity] += time.perf_counter() - started


def train_reference(job: Job, report: Report) -> dict[str, Any]:
    """Train the cell's reference and file it; returns the seconds by activity."""
    cell, watch = job.cell, _Stopwatch()
    torch.set_num_threads(job.threads)
    store = Store(job.store)
    source = open_source(cell.model)
    task = cell.train_task
    examples = _data(job).splits[task.train]
    tokenizer = source.tokenizer(lambda: (text for row in examples for text in (row.text, row.pair) if text))
    model = _build(source, cell, tokenizer)
    features = _features(job, tokenizer)
    plan = cell.suite.training(task)
    with _meter(cell) as meter:
        log = watch.time(
            "training",
            lambda: train(
                model,
                features,
                kind=KINDS.get(task.kind),
                pad_id=tokenizer.pad_token_id,
                plan=plan,
                seed=cell.seed,
                device=cell.conditions.device,
                progress=report,
            ),
        )
    made = {
        "title": f"reference of {cell.model} on {task.name}, seed {cell.seed}",
        "training": {"seconds": log.seconds, "steps": log.steps, "final_loss": log.final_loss, **plan.model_dump()},
        **_energy(meter, job.alone),
    }
    save(model, store.path(*cell.reference_place), tokenizer=tokenizer, made=made)
    return {"spans": watch.spans}


def compress(job: Job, report: Report) -> dict[str, Any]:
    """Apply the cell's recipe to its reference and file the artifact; stages done before by another are reused."""
    cell, watch = job.cell, _Stopwatch()
    torch.set_num_threads(job.threads)
    store = Store(job.store)
    keys, methods = cell.stage_keys, cell.recipe.methods()
    reference = load(store.path(*cell.reference_place), device=cell.conditions.device)
    done = max((n for n in range(len(keys), 0, -1) if store.has("artifacts", keys[n - 1])), default=0)
    if done:
        begun = store.path("artifacts", keys[done - 1])
        model, earlier = load(begun, device=cell.conditions.device).model, read_manifest(begun)
    else:
        model, earlier = reference.model, {"stages": [], "energy_kwh": 0.0, "power_source": None}
    stages = [{**stage, "cached": True} for stage in earlier["stages"]]
    models: list[torch.nn.Module] = []
    features = _features(job, reference.tokenizer)
    with _meter(cell) as meter:
        for index in range(done, len(keys)):
            lab = _lab(job, reference, features, seed=cell.seed * 1000 + index, report=report)
            started = time.perf_counter()
            model = watch.time("training", partial(methods[index].compress, model, lab))
            stage = cell.recipe.stages[index]
            seconds = time.perf_counter() - started
            stages.append({"method": stage.method, "arguments": stage.arguments, "seconds": seconds, "cached": False})
            models.append(model)
    length, device = cell.suite.setting.measuring.length, cell.conditions.device
    check = partial(audit, tokenizer=reference.tokenizer, scratch=store.root, length=length, device=device)
    for index, each in enumerate(models, start=done):  # outside the meter: checking is no cost of compressing
        stages[index] |= watch.time("measuring", partial(check, each, saves=methods[index].saves)).stored()
    made: dict[str, Any] = {"title": f"{cell.recipe.name} of {cell.model} on {cell.train_task.name}, seed {cell.seed}"}
    made |= {"stages": stages, "compress_s": sum(stage["seconds"] for stage in stages)}
    made |= _total_energy(_energy(meter, job.alone), earlier)
    save(model, store.path(*cell.artifact_place), tokenizer=reference.tokenizer, made=made)
    return {"spans": watch.spans}


def probe(job: Job, report: Report) -> dict[str, Any]:
    """One measure's probe of one stored model, in this process in which no model has been loaded."""
    watch, cell = _Stopwatch(), job.cell
    if job.probe is None:
        raise ValueError("a probing child was given no probe")
    measure, name, kind, key = job.probe
    plugin = MEASURES.get(measure)
    if not isinstance(plugin, ProbingMeasure):
        raise TypeError(f"measure '{measure}' does not probe")
    directory = Store(job.store).path(kind, key)
    options: dict[str, Any] = {"device": cell.conditions.device, "measuring": cell.suite.setting.measuring}
    found = watch.time("measuring", lambda: plugin.probe(name, directory, **options))
    return {"spans": watch.spans, "found": found}


def measure(job: Job, report: Report) -> dict[str, Any]:
    """Every measure of the cell's artifact beside its reference, both loaded from disk in this fresh process."""
    watch = _Stopwatch()
    torch.set_num_threads(job.threads)
    pair, provenance = _pair(job)
    readings: dict[str, Reading] = {}
    for index, (name, plugin) in enumerate(MEASURES.items()):
        report(f"measuring {name}", index / len(MEASURES.names()))
        before = pair.evaluator.seconds
        started = time.perf_counter()
        readings[name] = _read(plugin, pair)
        evaluating = pair.evaluator.seconds - before
        _account(readings[name], plugin, time.perf_counter() - started, pair)
        watch.spans["evaluating"] += evaluating
        watch.spans["measuring"] += time.perf_counter() - started - evaluating
    readings["claims"] = check_claims(readings, pair)
    return {
        "spans": watch.spans,
        "readings": readings,
        "stages": pair.made["stages"],
        "provenance": provenance,
        "known": pair.evaluator.known(pair.reference.content_hash),
    }


def _read(plugin: Measure, pair: Pair) -> Reading:
    """The measure's reading, in which every column of the measure has a value or a reason."""
    try:
        reading = plugin.read(pair)
    except UnavailableError as error:
        reading = Reading()
        reading.leave(str(error), *plugin.columns)
    missing = [name for name in plugin.columns if name not in reading.values and name not in reading.absent]
    if missing:
        raise RuntimeError(f"measure '{plugin.name}' gave neither a value nor a reason for {', '.join(missing)}")
    return reading


def _account(reading: Reading, plugin: Measure, seconds: float, pair: Pair) -> None:
    """Note how long a measure took beside its budget, which the suite may set; its probes are not in either."""
    budget = pair.setting.measuring.budgets_s.get(plugin.name, plugin.budget_s)
    reading.conditions |= {"took_s": seconds, "budget_s": budget}
    if seconds > budget:
        reading.warn(
            "over-budget",
            f"measure {plugin.name} took {seconds:.0f} s, {budget:.0f} s are its budget. Measure less (`bench show "
            f"{plugin.name}`), or raise measuring.budgets_s.{plugin.name}.",
        )


def _pair(job: Job) -> tuple[Pair, dict[str, Any]]:
    cell, store = job.cell, Store(job.store)
    reference_dir, artifact_dir = store.path(*cell.reference_place), store.path(*cell.artifact_place)
    is_reference = artifact_dir == reference_dir
    device = cell.conditions.device
    reference, artifact = load(reference_dir, device=device), load(artifact_dir, device=device)
    data = _data(job)
    foreign = [] if cell.task.trained_on is None else [f"the model was trained on {cell.task.trained_on}"]
    evaluator = Evaluator(
        task=cell.task,
        data=data,
        max_length=cell.suite.max_length(cell.task),
        token_budget=cell.suite.setting.evaluation_tokens,
        device=device,
        known=job.known,
    )
    made = {"stages": [], "compress_s": 0.0, "energy_kwh": 0.0} if is_reference else read_manifest(artifact_dir)
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
        made=made,
        apart=_apart(job),
    )
    provenance = {
        "data": {
            "origin": data.origin,
            "revision": data.revision,
            "generated": data.generated,
            "fingerprint": cell.data_fingerprint,
            "notes": [*data.notes, *foreign],
            "examples": {name: len(split) for name, split in data.splits.items()},
        },
        "model": {"fingerprint": cell.model_fingerprint},
        "reference": {"content_hash": reference.content_hash, "training": read_manifest(reference_dir)["training"]},
        "artifact": {"content_hash": artifact.content_hash, "bytes": size_bytes(artifact_dir)},
    }
    return pair, provenance


def _apart(job: Job) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """What the probes of artifact and of reference gave, by measure and name."""

    def found(measure: str, plugin: ProbingMeasure, place: tuple[Kind, str]) -> dict[str, Any]:
        return {name: job.probed[Probe(measure, name, *place).id] for name in plugin.probes}

    return {
        measure: (found(measure, plugin, job.cell.artifact_place), found(measure, plugin, job.cell.reference_place))
        for measure, plugin in MEASURES.items()
        if isinstance(plugin, ProbingMeasure)
    }


def _lab(job: Job, reference: Loaded, features: list[Feature], *, seed: int, report: Report) -> Lab:
    cell = job.cell
    source = open_source(cell.model)

    def fresh(depth: int, pretrained: bool) -> torch.nn.Module:
        model = _build(source, cell, reference.tokenizer, depth=depth, pretrained=pretrained, seed=seed)
        return model.to(cell.conditions.device)

    return Lab(
        task=cell.train_task,
        setting=cell.suite.setting,
        plan=cell.suite.training(cell.train_task),
        seed=seed,
        device=cell.conditions.device,
        tokenizer=reference.tokenizer,
        features=features,
        reference=reference.model,
        fresh=fresh,
        progress=report,
    )


def _build(
    source: ModelSource,
    cell: Cell,
    tokenizer: Any,
    *,
    depth: int | None = None,
    pretrained: bool = True,
    seed: int | None = None,
) -> torch.nn.Module:
    task = cell.train_task
    return source.build(
        head=KINDS.get(task.kind).head,
        labels=task.labels or None,
        tokenizer=tokenizer,
        seed=cell.seed if seed is None else seed,
        depth=depth,
        pretrained=pretrained,
    )


def _features(job: Job, tokenizer: Any) -> list[Feature]:
    task = job.cell.train_task
    examples, length = _data(job).splits[task.train], job.cell.suite.max_length(task)
    return KINDS.get(task.kind).encode(examples, tokenizer, task=task, max_length=length, training=True)


def _data(job: Job) -> TaskData:
    if job.data is None:
        raise ValueError("a child that trains or measures was given no data")
    return job.data


def _meter(cell: Cell) -> EnergyMeter:
    measuring = cell.suite.setting.measuring
    return EnergyMeter(country=measuring.country, sample_s=measuring.energy_sample_s, hasty=True)


def _energy(meter: EnergyMeter, alone: bool) -> dict[str, Any]:
    """The meter's energy as a manifest keeps it, or why there is none."""
    if not alone:
        return {"energy_absent": "other work ran on this machine at the same time (--jobs above 1)"}
    reading = meter.reading
    if isinstance(reading, str):
        return {"energy_absent": reading}
    return {"energy_kwh": reading.kwh, "power_source": reading.power_source, "energy_samples": reading.samples}


def _total_energy(mine: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Energy of all stages, absent as soon as that of one of them is."""
    for part in (earlier, mine):
        if "energy_absent" in part:
            return {"energy_absent": part["energy_absent"]}
    sources = dict.fromkeys(part["power_source"] for part in (earlier, mine) if part["power_source"])
    named = dict.fromkeys(source for several in sources for source in several.split(" + "))
    return {**mine, "energy_kwh": mine["energy_kwh"] + earlier["energy_kwh"], "power_source": " + ".join(named)}
