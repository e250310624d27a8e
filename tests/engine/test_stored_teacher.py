"""Two recipes with one teacher: the second reads the outputs that the first one left in the cache."""

from __future__ import annotations

import pytest
from made_films import FILMS, write_films

from bench.artifacts.manifest import read_manifest
from bench.artifacts.store import Store
from bench.engine.jobs import CompressJob, TrainJob
from bench.engine.worker import compress, train_reference
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import load_recipe
from bench.spec.suite import load_suite
from bench.tasks.data import load_data
from bench.tasks.examples import write_data


@pytest.fixture
def folder(tmp_path):
    write_films(tmp_path)
    (tmp_path / "tried.toml").write_text(FILMS)
    return tmp_path


@pytest.mark.slow
def test_outputs_are_stored_once_beside_the_data_and_counted_in_the_stage(folder):
    suite, store = load_suite(str(folder / "tried.toml")), Store(folder / "store")
    overrides = [{"teacher.stored": True}, {"teacher.stored": True, "terms.logits.weight": 0.9}]
    cells = plan(
        suite,
        tasks=suite.tasks,
        model="demo-bert",
        recipes=[load_recipe("distillation", each) for each in overrides],
        seeds=[0],
        conditions=Conditions(data_dir=folder),
    )
    data = store.data_path("sst2")
    write_data(data, load_data(cells[0].task, data_dir=folder))
    given = {"store": folder / "store", "data": data, "threads": 1, "alone": False}
    train_reference(TrainJob(cell=cells[0], **given), lambda text, share: None)
    found = []
    for cell in cells:
        compress(CompressJob(cell=cell, **given), lambda text, share: None)
        (stage,) = read_manifest(store.path(*cell.artifact_place)).stages
        found.append(stage.counts)
    assert found == [{"recalled_teachers": 0}, {"recalled_teachers": 1}]
    assert [path.name.split("-")[0] for path in data.parent.glob("*.safetensors")] == ["outputs"]
