"""Hand-made records and a suite of three tasks, so that every aggregate can be worked out on paper."""

from __future__ import annotations

import pytest

from bench.records.record import Failure, Flag, Record, StageLog
from bench.spec.suite import Suite, validated

TASKS = ("alpha", "beta", "gamma")


def make_suite(**changes) -> Suite:
    task = {"kind": "regression", "metrics": ["pearson"], "data": {"source": "generated", "subset": "any"}}
    data = {
        "name": "trio",
        "title": "Trio",
        "setting": {"measuring": {"country": "FRA"}},
        "tasks": [{"name": name, **task} for name in TASKS],
        **changes,
    }
    return validated(Suite, data, where="trio.toml")


def make_record(task: str, recipe: str, quality: float | None = 0.9, **changes) -> Record:
    """A record of the suite `trio`; `values`, `absent`, `reference` add to the defaults; `machine` is its id."""
    seed = changes.pop("seed", 0)
    base = recipe.split("[")[0]
    values = {} if quality is None else {"quality": quality}
    absent = {"quality": "labels are hidden"} if quality is None else {}
    data = {
        "key": f"{task}-{recipe}-{seed}",
        "suite": "trio",
        "suite_version": 1,
        "generated": False,
        "task": task,
        "task_version": 1,
        "task_kind": "regression",
        "model": "tiny",
        "recipe": recipe,
        "recipe_base": base,
        "family": "reference" if base == "none" else "pruning",
        "seed": seed,
        "stages": (),
        "setting": {},
        "setting_id": make_suite().setting_id,
        "machine": changes.pop("machine_facts", {}),
        "machine_id": changes.pop("machine", "m1"),
        "created": "2026-11-22T10:00:00Z",
        "values": values | changes.pop("values", {}),
        "reference": {"quality": 0.8} | changes.pop("reference", {}),
        "absent": absent | changes.pop("absent", {}),
        "samples": {},
        "conditions": {},
        "warnings": tuple(Flag(code=code, says=says) for code, says in changes.pop("warnings", {}).items()),
        "provenance": {},
        "spans_s": {},
    }
    return Record(**(data | changes))


def make_failure(task: str, recipe: str, **changes) -> Failure:
    data = {
        "key": f"{task}-{recipe}",
        "suite": "trio",
        "task": task,
        "model": "tiny",
        "recipe": recipe,
        "seed": 0,
        "setting_id": make_suite().setting_id,
        "created": "2026-11-22T10:00:00Z",
        "phase": "compress",
        "cause": "rank 99 is above 32",
        "interrupted": False,
    }
    return Failure(**(data | changes))


@pytest.fixture
def suite() -> Suite:
    return make_suite()


@pytest.fixture
def suite_with():
    return make_suite


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def failure():
    return make_failure


@pytest.fixture
def row(record):
    """A function that makes one record a task from `qualities`, all with the same other values."""

    def build(recipe: str, *qualities: float | None, **changes) -> list[Record]:
        return [record(task, recipe, quality, **changes) for task, quality in zip(TASKS, qualities, strict=False)]

    return build


@pytest.fixture
def cell(record):
    """One record of a grid over magnitude pruning; `schedule__rewind` is an argument of its schedule."""

    def make(task, quality, *, seed=0, base="bert-tickets", **arguments):
        keys = {key.replace("__", "."): value for key, value in arguments.items()}
        name = f"{base}[{','.join(f'{key}={value}' for key, value in keys.items())}]"
        schedule = {key.partition(".")[2]: value for key, value in keys.items() if "." in key}
        given = {key: value for key, value in keys.items() if "." not in key}
        given |= {"schedule": {"name": "rounds", **schedule}} if schedule else {}
        stage = StageLog(method="prune", arguments={"sparsity": 0.5, **given}, seconds=1.0)
        ends = {"quality_low": quality - 0.05, "quality_high": quality + 0.05}
        return record(task, name, quality, seed=seed, stages=(stage,), values=ends)

    return make


@pytest.fixture
def grid(cell, record):
    """Sparsity 0.5 and 0.9 by rewinding, on two tasks, with the reference."""
    cells = [
        cell(task, base + shift, schedule__rewind=rewind, sparsity=sparsity)
        for task, shift in (("alpha", 0.0), ("beta", 0.1))
        for rewind, sparsity, base in (("start", 0.5, 0.8), ("start", 0.9, 0.6), ("shuffled", 0.5, 0.5))
    ]
    return [*cells, record("alpha", "none", 0.9), record("beta", "none", 0.8)]
