"""Made records in result folders, so that every number of the page can be worked out on paper."""

from __future__ import annotations

import pytest

from bench.records.record import Failure, Record, write_record, write_text
from bench.spec.suite import Suite, validated


@pytest.fixture
def suite() -> Suite:
    """A suite of two tasks that the package does not have."""
    task = {"kind": "regression", "metrics": ["pearson"], "data": {"source": "generated", "subset": "any"}}
    tasks = [{"name": name, **task} for name in ("alpha", "beta")]
    data = {"name": "duo", "title": "Duo", "setting": {"measuring": {"country": "FRA"}}, "tasks": tasks}
    return validated(Suite, data, where="duo.toml")


@pytest.fixture
def file(tmp_path, suite):
    """A function that writes a record below results/ and gives the folder of results.

    `values` add to a row of quality 0.8, twice as fast and small, with half of the reference's parameters and MACs.
    """
    root = tmp_path / "results"

    def write(task: str, recipe: str, *, folder: str = "duo", values: dict[str, float] | None = None, **changes):
        reference = {"quality": 0.8, "params": 100, "macs": 1000}
        own = {
            "quality": 0.8,
            "drop": 0.0,
            "drop_low": -0.01,
            "drop_high": 0.01,
            "drop_p": 1.0,
            "retention": 1.0,
            "retention_low": 0.99,
            "retention_high": 1.01,
            "compression": 2.0,
            "speedup": 2.0,
            "speedup_low": 1.9,
            "speedup_high": 2.1,
            "params": 50,
            "macs": 500,
        }
        data = {
            "key": f"{task}-{recipe}",
            "suite": suite.name,
            "suite_version": 1,
            "generated": False,
            "task": task,
            "task_version": 1,
            "task_kind": "regression",
            "model": "tiny",
            "recipe": recipe,
            "seed": 0,
            "recipe_base": recipe.partition("[")[0],
            "family": "low-rank",
            "stages": (),
            "setting": {},
            "setting_id": suite.setting_id,
            "machine": {},
            "machine_id": "m1",
            "created": "2026-11-22T10:00:00Z",
            "values": reference if recipe == "none" else own | (values or {}),
            "reference": reference,
            "absent": {},
            "samples": {},
            "conditions": {},
            "warnings": (),
            "provenance": {},
            "spans_s": {},
            **changes,
        }
        name = "--".join(str(data[part]) for part in ("task", "model", "recipe", "seed", "setting_id"))
        write_record(root / folder / data["machine_id"] / f"{name}.json", Record(**data))
        return root

    return write


@pytest.fixture
def fail(tmp_path, suite):
    """A function that writes a failure below results/duo."""

    def write(task: str, recipe: str):
        data = {
            "key": "k",
            "suite": suite.name,
            "task": task,
            "model": "tiny",
            "recipe": recipe,
            "seed": 0,
            "setting_id": suite.setting_id,
            "created": "2026-11-22T10:00:00Z",
            "phase": "compress",
        }
        failure = Failure(**data, cause="rank 99 is above 32", interrupted=False)
        path = tmp_path / "results" / "duo" / "m1" / f"{task}-{recipe}.failed.json"
        write_text(path, failure.model_dump_json())

    return write
