"""What a child process does to make one cell's models: train its reference, or compress it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from bench.artifacts.artifact import Loaded, load, read_manifest, save
from bench.artifacts.store import Store
from bench.base.stopwatch import Stopwatch
from bench.engine.processes import Report
from bench.measures.audit.audit import audit
from bench.measures.energy.meter import EnergyMeter
from bench.methods.base.method import Lab
from bench.models.source import ModelSource, open_source
from bench.plan.cell import Cell, Job
from bench.plan.recipes import methods_of
from bench.spec.suite import Task
from bench.tasks.data import load_data
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS, Feature
from bench.training.loop import train


def train_reference(job: Job, report: Report) -> dict[str, Any]:
    """Train the cell's reference and file it; returns the seconds by activity."""
    cell, watch = job.cell, Stopwatch()
    torch.set_num_threads(job.threads)
    store = Store(job.store)
    source = open_source(cell.model, outputs=cell.conditions.outputs)
    task = cell.train_task
    examples = job.given().splits[task.train]
    tokenizer = source.tokenizer(lambda: (text for row in examples for text in row.texts))
    model = _build(source, task, tokenizer, seed=cell.seed)
    features = _features(cell, task, examples, tokenizer)
    plan = cell.suite.training(task)
    begun = time.process_time()
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
    spent = {"seconds": log.seconds, "cpu_s": time.process_time() - begun}
    made = {
        "title": f"reference of {cell.model} on {task.name}, seed {cell.seed}",
        "training": {**spent, "steps": log.steps, "final_loss": log.final_loss, **plan.model_dump()},
        **_energy(meter, job.alone),
    }
    save(model, store.path(*cell.reference_place), tokenizer=tokenizer, made=made)
    return {"spans": watch.spans}


def compress(job: Job, report: Report) -> dict[str, Any]:
    """Apply the cell's recipe to its reference and file the artifact; stages done before by another are reused."""
    cell, watch = job.cell, Stopwatch()
    torch.set_num_threads(job.threads)
    store = Store(job.store)
    keys, methods = cell.stage_keys, methods_of(cell.recipe)
    reference = load(store.path(*cell.reference_place), device=cell.conditions.device)
    done = max((n for n in range(len(keys), 0, -1) if store.has("artifacts", keys[n - 1])), default=0)
    if done:
        begun = store.path("artifacts", keys[done - 1])
        model, earlier = load(begun, device=cell.conditions.device).model, read_manifest(begun)
    else:
        model, earlier = reference.model, {"stages": [], "energy_kwh": 0.0, "power_source": None}
    stages = [{**stage, "cached": True} for stage in earlier["stages"]]
    models: list[torch.nn.Module] = []
    examples = job.given().splits[cell.train_task.train]
    features = _features(cell, cell.train_task, examples, reference.tokenizer)
    with _meter(cell) as meter:
        for index in range(done, len(keys)):
            lab = _lab(job, reference, features, seed=cell.seed * 1000 + index, report=report)
            started, started_cpu = time.perf_counter(), time.process_time()
            model = watch.time("training", partial(methods[index].compress, model, lab))
            spent = {"seconds": time.perf_counter() - started, "cpu_s": time.process_time() - started_cpu}
            stage = cell.recipe.stages[index]
            stages.append({"method": stage.method, "arguments": stage.arguments, **spent, "cached": False})
            models.append(model)
    length, device = cell.suite.setting.measuring.length, cell.conditions.device
    check = partial(audit, tokenizer=reference.tokenizer, scratch=store.root, length=length, device=device)
    for index, each in enumerate(models, start=done):  # outside the meter: checking is no cost of compressing
        stages[index] |= watch.time("measuring", partial(check, each, saves=methods[index].saving())).stored()
    made: dict[str, Any] = {"title": f"{cell.recipe.name} of {cell.model} on {cell.train_task.name}, seed {cell.seed}"}
    made |= {"stages": stages, "compress_s": sum(stage["seconds"] for stage in stages)}
    if all("cpu_s" in stage for stage in stages):  # stages of an artifact made before it was counted have none
        made["compress_cpu_s"] = sum(stage["cpu_s"] for stage in stages)
    made |= _total_energy(_energy(meter, job.alone), earlier)
    save(model, store.path(*cell.artifact_place), tokenizer=reference.tokenizer, made=made)
    return {"spans": watch.spans}


def _lab(job: Job, reference: Loaded, features: list[Feature], *, seed: int, report: Report) -> Lab:
    cell, task, tokenizer = job.cell, job.cell.train_task, reference.tokenizer
    device, source = cell.conditions.device, open_source(cell.model, outputs=cell.conditions.outputs)

    def fresh(depth: int, pretrained: bool, *, of: Task = task) -> torch.nn.Module:
        return _build(source, of, tokenizer, seed=seed, depth=depth, pretrained=pretrained).to(device)

    def elsewhere(name: str) -> Lab:
        other = cell.suite.task(name)
        examples = load_data(other, data_dir=cell.conditions.data_dir).splits[other.train]
        return replace(
            lab,
            task=other,
            plan=cell.suite.training(other),
            examples=examples,
            features=_features(cell, other, examples, tokenizer),
            reference=_build(source, other, tokenizer, seed=seed).to(device),
            fresh=partial(fresh, of=other),
        )

    lab = Lab(
        task=task,
        setting=cell.suite.setting,
        plan=cell.suite.training(task),
        seed=seed,
        device=device,
        tokenizer=tokenizer,
        features=features,
        examples=job.given().splits[task.train],
        reference=reference.model,
        fresh=fresh,
        elsewhere=elsewhere,
        progress=report,
    )
    return lab


def _build(
    source: ModelSource, task: Task, tokenizer: Any, *, seed: int, depth: int | None = None, pretrained: bool = True
) -> torch.nn.Module:
    return source.build(
        head=KINDS.get(task.kind).head,
        labels=task.labels or None,
        tokenizer=tokenizer,
        seed=seed,
        depth=depth,
        pretrained=pretrained,
    )


def _features(cell: Cell, task: Task, examples: Sequence[Example], tokenizer: Any) -> list[Feature]:
    length = cell.suite.max_length(task)
    return KINDS.get(task.kind).encode(examples, tokenizer, task=task, max_length=length, training=True)


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
    disturbance = reading.load.disturbance()
    if disturbance is not None:
        return {"energy_absent": disturbance}
    return {"energy_kwh": reading.kwh, "power_source": reading.power_source, "energy_samples": reading.samples}


def _total_energy(mine: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Energy of all stages, absent as soon as that of one of them is."""
    for part in (earlier, mine):
        if "energy_absent" in part:
            return {"energy_absent": part["energy_absent"]}
    sources = dict.fromkeys(part["power_source"] for part in (earlier, mine) if part["power_source"])
    named = dict.fromkeys(source for several in sources for source in several.split(" + "))
    return {**mine, "energy_kwh": mine["energy_kwh"] + earlier["energy_kwh"], "power_source": " + ".join(named)}
