"""Which records are those of a cell: published ones, whatever their key, unless anything that was done differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.schema import toml_value
from bench.methods.base.method import METHODS
from bench.models.stored import Held
from bench.plan.cell import Cell, Conditions
from bench.plan.fit import Fit
from bench.plan.recipes import expand, load_recipe, methods_of
from bench.plan.recorded import is_recorded, made_from
from bench.records.record import read_record
from bench.spec.setting import Setting
from bench.spec.suite import load_suite

RESULTS = Path(__file__).parents[2] / "results"
SETS = ("glue-small/*", "sst2/*/*", "study-lottery/*", "language/*")
PUBLISHED = [path for each in SETS for path in sorted(RESULTS.glob(f"{each}/*--seed*.json"))[::12]]
TAUGHT = sorted(
    path
    for name in ("distillation", "distilled-int8", "noach-goldberg", "ternarybert", "binarybert", "block-movement*")
    for path in RESULTS.glob(f"**/*--{name}--seed0--*.json")
)
PRUNED = next(RESULTS.glob("study-lottery/*/*--lottery-ticket*.json"))  # its arguments are in the form of before


def cell_of(record, **changes):
    """The cell that the suite of today has for a published record, which was measured in one process."""
    told = {key: value for key, value in record.setting.items() if key != "task_changes"}
    told = {**told, "measuring": {**told["measuring"], "processes": 1}}
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        told = {**told, section: {**told[section], name: value}} if section else {**told, name: value}
    suite = load_suite(record.suite).model_copy(
        update={"setting": Setting(**told), "task_changes": tuple(record.setting["task_changes"])}
    )
    recipes = {recipe.name: recipe for chosen in suite.recipes for recipe in expand(chosen)}
    task = suite.task(record.task)
    return Cell(
        suite=suite,
        task=task,
        train_task=task,
        model=record.model,
        recipe=recipes.get(record.recipe) or load_recipe(record.recipe),
        seed=record.seed,
        conditions=Conditions(),
        data_fingerprint=record.provenance["data"]["fingerprint"],
        training_fingerprint="that of the training split",
        model_fingerprint=record.provenance["model"]["fingerprint"],
        reference_key="any",
    )


@pytest.fixture(autouse=True)
def libraries_of_then(monkeypatch):
    """The versions with which the published records were made."""
    versions = read_record(PRUNED).provenance["versions"]
    monkeypatch.setattr("bench.plan.recorded.version", versions.__getitem__)


def recorded(cell, record):
    return is_recorded(cell, record, machine_id=record.machine_id)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parts[-3] + "-" + path.name.split("--")[2])
def test_a_published_record_is_that_of_its_cell_whatever_its_key(path):
    record = read_record(path)
    cell = cell_of(record)
    assert cell.key != record.key
    assert recorded(cell, record)


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.parts[-3] + "-" + path.name.split("--")[2])
def test_published_records_of_distilled_training_state_the_stages_of_the_recipes_of_today(path):
    record = read_record(path)
    methods = methods_of(load_recipe(record.recipe_base, _arguments(record.recipe)))
    found = [(each.method, METHODS.get(each.method).model_validate(each.arguments)) for each in record.stages]
    assert [method for _, method in found] == methods


def _arguments(recipe):
    inside = recipe.partition("[")[2].removesuffix("]")
    return {key: toml_value(value) for key, _, value in (part.partition("=") for part in inside.split(",") if part)}


@pytest.mark.parametrize(
    "change",
    [
        {"data_fingerprint": "other"},
        {"model_fingerprint": "other"},
        {"model": "another-name"},
        {"seed": 1},
        {"conditions": Conditions(device="cuda")},
        {"conditions": Conditions(outputs=("a", "b"))},
        {"conditions": Conditions(as_is=True)},
        {"given_artifact": "that of a system made elsewhere"},
        {"held": Held(bytes_by_dtype={}, widened_bytes=2)},
        {"held": Held(bytes_by_dtype={}, widened_bytes=0, order=(1, 0))},
        {"fit": Fit(conditions={}, segments="added")},
        {"elsewhere": {"sst2": "data of another task, of which the record says nothing"}},
        {"recipe": load_recipe("int8")},
    ],
    ids=lambda change: "-".join(change),
)
def test_whatever_was_done_otherwise_makes_another_cell(change):
    record = read_record(PRUNED)
    assert recorded(cell_of(record), record)
    assert not recorded(replace(cell_of(record), **change), record)


@pytest.mark.parametrize(
    ("key", "value"),
    [("measuring__processes", 5), ("measuring__skip", ("carbon",)), ("training__epochs", 77), ("max_length", 77)],
)
def test_another_setting_makes_another_cell(key, value):
    record = read_record(PRUNED)
    assert not recorded(cell_of(record, **{key: value}), record)


def test_an_argument_that_differs_makes_another_cell_even_under_the_same_name():
    record = read_record(PRUNED)
    cell = cell_of(record)
    (first, *rest) = cell.recipe.stages
    arguments = {**first.arguments, "budget": first.arguments["budget"] + 1}
    stages = (first.model_copy(update={"arguments": arguments}), *rest)
    assert not recorded(replace(cell, recipe=cell.recipe.model_copy(update={"stages": stages})), record)


def test_other_libraries_another_machine_and_a_later_procedure_make_another_cell(monkeypatch):
    record = read_record(PRUNED)
    cell = cell_of(record)
    assert not is_recorded(cell, record, machine_id="another")
    later = {**record.provenance, "made_from": {**made_from(cell), "procedure": 99}}
    assert not recorded(cell, record.model_copy(update={"provenance": later}))
    monkeypatch.setattr("bench.plan.recorded.version", lambda name: "99")
    assert not recorded(cell, record)


def test_what_new_records_state_is_compared_too():
    record = read_record(PRUNED)
    cell = cell_of(record)

    def stated(**changes):
        provenance = {**record.provenance, "made_from": {**made_from(cell), **changes}}
        return recorded(cell, record.model_copy(update={"provenance": provenance}))

    assert stated()
    assert not stated(training_data="other")
    assert not stated(task={**made_from(cell)["task"], "labels": ["positive", "negative"]})
    assert not stated(elsewhere={"stsb": "used"})
