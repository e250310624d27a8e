"""What a child process does to make one cell's models: train its reference, or compress it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.artifacts.artifact import Loaded, load, save
from bench.artifacts.manifest import NOTHING_MADE, EnergySpent, Manifest, TrainingSpent
from bench.artifacts.source import open_source
from bench.artifacts.store import Store
from bench.base.stopwatch import Stopwatch
from bench.engine.jobs import CompressJob, Made, TrainJob
from bench.engine.processes import Report
from bench.measures.audit.audit import audit
from bench.measures.energy.meter import EnergyMeter
from bench.methods.base.method import Lab
from bench.models.source import ModelSource
from bench.plan.cell import Cell
from bench.plan.recipes import methods_of
from bench.records.record import StageLog
from bench.spec.suite import Task
from bench.tasks.data import load_data, trained_on
from bench.tasks.encoded import encode, encode_once
from bench.tasks.examples import Example, read_data
from bench.tasks.features import Feature
from bench.tasks.kinds.kind import KINDS
from bench.training.loop import train


def train_reference(job: TrainJob, report: Report) -> Made:
    """Train the cell's reference and file it."""
    cell, watch = job.cell, Stopwatch()
    torch.set_num_threads(job.threads)
    store = Store(job.store)
    source = open_source(cell.model, outputs=cell.conditions.outputs)
    task = cell.train_task
    examples = _examples(job, task)
    if cell.as_is:
        watch.time("training", partial(_file_as_is, source, cell, examples, store))
        return Made(spans=watch.spans)

    def texts() -> Iterator[str]:
        return (text for row in examples for text in row.texts)

    tokenizer = watch.time("training", lambda: source.tokenizer(texts))
    build = partial(_build, source, cell, task, tokenizer, examples)
    model = watch.time("training", lambda: build(seed=cell.seed))
    features = watch.time("training", lambda: _features(cell, task, examples, tokenizer, data=job.data))
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
    cost = {"seconds": log.seconds, "cpu_s": time.process_time() - begun}
    made = Manifest(
        title=f"reference of {cell.model} on {task.name}, seed {cell.seed}",
        training=TrainingSpent(**cost, steps=log.steps, final_loss=log.final_loss, **plan.model_dump()),
        energy=_energy(meter, job.alone),
    )
    save(model, store.path(*cell.reference_place), tokenizer=tokenizer, made=made)
    return Made(spans=watch.spans)


def _file_as_is(source: ModelSource, cell: Cell, examples: Sequence[Example], store: Store) -> None:
    """File the cell's reference without training it."""
    task, tokenizer = cell.train_task, source.tokenizer(lambda: ())
    model = _build(source, cell, task, tokenizer, examples, seed=cell.seed)
    made = Manifest(
        title=f"{cell.model} as it is, on {task.name}", energy=EnergySpent(absent="the reference was not trained")
    )
    save(model, store.path(*cell.reference_place), tokenizer=tokenizer, made=made)


def compress(job: CompressJob, report: Report) -> Made:
    """Apply the cell's recipe to its reference and file the artifact; stages done before by another are reused."""
    cell, watch = job.cell, Stopwatch()
    torch.set_num_threads(job.threads)
    store = Store(job.store)
    keys, methods = cell.stage_keys, methods_of(cell.recipe)
    reference = load(store.path(*cell.reference_place), device=cell.conditions.device)
    done = max((n for n in range(len(keys), 0, -1) if store.has("artifacts", keys[n - 1])), default=0)
    if done:
        begun = store.path("artifacts", keys[done - 1])
        loaded = load(begun, device=cell.conditions.device)
        model, earlier = loaded.model, loaded.manifest
    else:
        model, earlier = reference.model, NOTHING_MADE
    stages = [stage.model_copy(update={"cached": True}) for stage in earlier.stages]
    models: list[torch.nn.Module] = []
    examples = _examples(job, cell.train_task)
    features = watch.time(
        "training", lambda: _features(cell, cell.train_task, examples, reference.tokenizer, data=job.data)
    )
    with _meter(cell) as meter:
        for index in range(done, len(keys)):
            seed = cell.seed * 1000 + index
            lab = _lab(cell, reference, examples, features, seed=seed, report=report, folder=job.data.parent)
            started, started_cpu = time.perf_counter(), time.process_time()
            model = watch.time("training", partial(methods[index].compress, model, lab))
            spent = {"seconds": time.perf_counter() - started, "cpu_s": time.process_time() - started_cpu}
            stage = cell.recipe.stages[index]
            used = {"counts": dict(lab.counts), "notes": tuple(lab.notes)}
            stages.append(StageLog(method=stage.method, arguments=stage.arguments, **used, **spent))
            models.append(model)
    length, device = cell.suite.setting.measuring.length, cell.conditions.device
    check = partial(audit, tokenizer=reference.tokenizer, scratch=store.root, length=length, device=device)
    for index, each in enumerate(models, start=done):  # outside the meter: checking is no cost of compressing
        found = watch.time("measuring", partial(check, each, saves=methods[index].saving()))
        stages[index] = stages[index].model_copy(update={**found._asdict(), "unaudited": None})
    seconds = [stage.cpu_s for stage in stages if stage.cpu_s is not None]
    made = Manifest(
        title=f"{cell.recipe.name} of {cell.model} on {cell.train_task.name}, seed {cell.seed}",
        stages=tuple(stages),
        compress_s=sum(stage.seconds for stage in stages),
        compress_cpu_s=sum(seconds) if len(seconds) == len(stages) else None,
        energy=_energy(meter, job.alone).after(earlier.energy),
    )
    save(model, store.path(*cell.artifact_place), tokenizer=reference.tokenizer, made=made)
    return Made(spans=watch.spans)


def _lab(
    cell: Cell,
    reference: Loaded,
    examples: Sequence[Example],
    features: Sequence[Feature],
    *,
    seed: int,
    report: Report,
    folder: Path,
) -> Lab:
    task, tokenizer = cell.train_task, reference.tokenizer
    device, source = cell.conditions.device, open_source(cell.model, outputs=cell.conditions.outputs)

    build = partial(_build, source, cell, seed=seed)

    def fresh(depth: int, pretrained: bool) -> torch.nn.Module:
        like = reference.model
        return build(task, tokenizer, examples, depth=depth, pretrained=pretrained, like=like).to(device)

    def elsewhere(name: str) -> Lab:
        other = cell.suite.task(name)
        read = load_data(other, data_dir=cell.conditions.data_dir)
        examples = trained_on(read, other)

        def fresh(depth: int, pretrained: bool) -> torch.nn.Module:
            return build(other, tokenizer, examples, depth=depth, pretrained=pretrained).to(device)

        return replace(
            lab,
            task=other,
            plan=cell.suite.training(other),
            examples=examples,
            features=_features(cell, other, examples, tokenizer),
            reference=build(other, tokenizer, examples).to(device),
            fresh=fresh,
            folder=None,
            head_is_new=not source.stores_head(KINDS.get(other.kind).head),
        )

    lab = Lab(
        task=task,
        setting=cell.suite.setting,
        plan=cell.suite.training(task),
        seed=seed,
        device=device,
        tokenizer=tokenizer,
        features=features,
        examples=examples,
        reference=reference.model,
        fresh=fresh,
        elsewhere=elsewhere,
        folder=folder,
        progress=report,
    )
    return lab


def _build(
    source: ModelSource,
    cell: Cell,
    task: Task,
    tokenizer: Any,
    examples: Sequence[Example],
    *,
    seed: int,
    depth: int | None = None,
    pretrained: bool = True,
    like: torch.nn.Module | None = None,
) -> torch.nn.Module:
    """A model with the task's head and all else that its kind gives it; `like` is one to take this from."""
    kind = KINDS.get(task.kind)
    model = source.build(
        head=kind.head,
        labels=task.labels or None,
        tokenizer=tokenizer,
        seed=seed,
        depth=depth,
        pretrained=pretrained,
        settings=KINDS.get(task.kind).head_settings(task),
    )
    length = cell.suite.max_length(task)
    return kind.completed(model, examples, tokenizer, task=task, max_length=length, like=like)


def _examples(job: TrainJob | CompressJob, task: Task) -> tuple[Example, ...]:
    return trained_on(read_data(job.data, KINDS.get(task.kind).training_splits(task)), task)


def _features(
    cell: Cell, task: Task, examples: Sequence[Example], tokenizer: Any, *, data: Path | None = None
) -> Sequence[Feature]:
    """The training features, kept beside the file `data` of their examples if there is one."""
    kind, length = KINDS.get(task.kind), cell.suite.max_length(task)
    if data is None:
        return encode(kind, examples, tokenizer, task=task, max_length=length, training=True)
    return encode_once(kind, examples, tokenizer, task=task, max_length=length, folder=data.parent, split=task.train)


def _meter(cell: Cell) -> EnergyMeter:
    measuring = cell.suite.setting.measuring
    return EnergyMeter(country=measuring.country, sample_s=measuring.energy_sample_s, hasty=True)


def _energy(meter: EnergyMeter, alone: bool) -> EnergySpent:
    """The meter's energy, or why there is none."""
    if not alone:
        return EnergySpent(absent="other work ran on this machine at the same time (--jobs above 1)")
    reading = meter.reading
    if isinstance(reading, str):
        return EnergySpent(absent=reading)
    disturbance = reading.load.disturbance()
    if disturbance is not None:
        return EnergySpent(absent=disturbance)
    return EnergySpent(kwh=reading.kwh, power_source=reading.power_source, samples=reading.samples)
