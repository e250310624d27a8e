"""The studies: what their suites hold, and small cells of each from the reference to an artifact."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from bench.analysis.arguments import stated
from bench.artifacts.artifact import load
from bench.artifacts.manifest import read_manifest
from bench.artifacts.store import Store
from bench.base.errors import SuiteError, UnknownNameError
from bench.cli import app
from bench.engine.jobs import CompressJob, TrainJob
from bench.engine.worker import compress, train_reference
from bench.models.adapter import adapter_for
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import expand, load_recipe, methods_of
from bench.spec.suite import SUITES_DIR, fingerprint, flat, load_suite, suite_names
from bench.tasks.data import load_data
from bench.tasks.examples import write_data
from bench.tasks.generated.generator import GENERATORS

GENERATED = {"sst2": "sentiment", "stsb": "similarity", "captions-mlm": "sentiment"}
SMALL = [
    *((f"{task}.data.source", "generated") for task in GENERATED),
    *((f"{task}.data.subset", name) for task, name in GENERATED.items()),
    *((f"{task}.{key}", 32) for task in GENERATED for key in ("train_examples", "evaluate_examples")),
    ("training.epochs", 0.5),
    ("training.learning_rate", 1e-3),
    ("max_length", 32),
    ("measuring.length", 8),
]
BERT_STUDIES = ("study-gordon", "study-tickets", "study-prasanna")


@pytest.fixture(autouse=True, scope="module")
def generated_once():
    """Sentences take seconds to generate, and every plan and every child reads them again."""
    kept = {name: GENERATORS.get(name) for name in (*GENERATED.values(), "lexicon")}
    with pytest.MonkeyPatch.context() as patch:
        for generator in kept.values():
            patch.setattr(type(generator), "generate", functools.cache(type(generator).generate))
        yield


def small(name, *changes):
    """The study on generated data."""
    lacking = set(GENERATED) - {task.name for task in load_suite(name).tasks}
    return load_suite(name, overrides=[*(pair for pair in SMALL if pair[0].split(".")[0] not in lacking), *changes])


def cells_of(suite, recipes, *, tasks=None, model="demo-bert"):
    return plan(suite, tasks=tasks or suite.tasks, model=model, recipes=recipes, seeds=[0], conditions=Conditions())


def made(cells, folder):
    """The artifact of every cell."""
    store = Store(folder)
    for cell in cells:
        data = store.path("data", cell.train_task.name)
        write_data(data, load_data(cell.train_task, data_dir=None))
        given = {"cell": cell, "store": folder, "data": data, "threads": 1, "alone": False}
        if not store.has(*cell.reference_place):
            train_reference(TrainJob(**given), lambda text, share: None)
        if not store.has(*cell.artifact_place):
            compress(CompressJob(**given), lambda text, share: None)
    return [load(store.path(*cell.artifact_place), device="cpu").model for cell in cells]


def encoder_zeros(model):
    return torch.cat([each.weight.detach().flatten() == 0 for each in adapter_for(model).linears(model).values()])


def names_of(suite):
    return [recipe.name for choice in suite.recipes for recipe in expand(choice)]


@pytest.mark.parametrize("name", [*BERT_STUDIES, "study-lottery", "study-see"])
def test_a_study_has_its_reference_distinct_rows_and_findings_and_says_how_long_it_takes(name):
    suite = load_suite(name)
    rows = names_of(suite)
    assert rows[0] == "none"
    assert len(rows) == len(set(rows)) > 6
    text = (SUITES_DIR / f"{name}.toml").read_text(encoding="utf-8")
    assert suite.findings
    assert "minutes" in text


def test_the_studies_with_glue_are_in_the_setting_of_glue_small():
    for name in BERT_STUDIES:
        study, small_glue = load_suite(name), load_suite("glue-small")
        assert study.setting == small_glue.setting
        assert [task for task in study.tasks if task.name not in study.macro_excludes] == list(small_glue.tasks)


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name in suite_names() for number in range(len(load_suite(name).findings))]
)
def test_a_finding_has_a_place_for_a_recipe_of_its_suite_and_one_for_each(name, number):
    suite = load_suite(name)
    finding = suite.findings[number]
    sides = [axis for axis in (*finding.rows, *finding.columns) if axis not in ("task", "seed", "model")]
    places = set()
    recipes = [recipe for choice in suite.recipes[1:] for recipe in expand(choice)]
    kept = []
    for recipe in recipes:
        found = {**stated(recipe.stages), "recipe": recipe.base}
        if all(found.get(key) == value for key, value in finding.where.items()) and set(sides) <= found.keys():
            kept.append(recipe.name)
            places.add(tuple(found[axis] for axis in sides))
    assert len(kept) > 1
    assert len(places) == len(kept)


@pytest.mark.parametrize(
    ("finding", "says"),
    [
        (
            {"rows": ["sparsty"], "columns": ["task"]},
            r"finding 3: no argument named 'sparsty'. Did you mean 'sparsity'",
        ),
        (
            {"rows": ["sparsity"], "columns": ["task"], "where": {"schedule.rewind": "never"}},
            r"finding 3: no recipe of the suite has schedule.rewind=never",
        ),
        (
            {"rows": ["rewind"], "columns": ["task"]},
            r"finding 3: 'rewind' is an argument of a choice. Write schedule.rewind",
        ),
    ],
)
def test_check_refuses_a_finding_that_no_record_could_ever_fall_into(finding, says, tmp_path):
    where = ", ".join(f"{name} = {json.dumps(value)}" for name, value in finding.get("where", {}).items())
    sides = [f"{side} = {json.dumps(finding[side])}" for side in ("rows", "columns")]
    lines = ['title = "Odd"', *sides, f"where = {{ {where} }}"]
    text = (SUITES_DIR / "study-tickets.toml").read_text(encoding="utf-8")
    path = tmp_path / "odd.toml"
    path.write_text("\n".join([text, "[[findings]]", *lines]), encoding="utf-8")
    with pytest.raises((SuiteError, UnknownNameError), match=says):
        CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)
    assert CliRunner().invoke(app, ["check", "study-tickets"], catch_exceptions=False).exit_code == 0


def test_the_lottery_study_prunes_a_fifth_a_round():
    for choice in load_suite("study-lottery").recipes[1:]:
        for recipe in expand(choice):
            (method,) = methods_of(recipe)
            if method.saliency.called == "magnitude":
                assert method.sparsity == pytest.approx(1 - 0.8**method.schedule.rounds)
                assert method.budget == method.schedule.rounds + 1


def test_masks_of_each_task_are_used_on_each_and_the_diagonal_is_the_ticket_itself(tmp_path):
    suite = small("study-tickets")
    base = {"schedule.rounds": 1, "budget": 2.0, "sparsity": 0.6}
    glue = suite.tasks[:2]
    recipes = [load_recipe("bert-tickets", {**base, "schedule.masks_from": task.name}) for task in glue]
    cells = cells_of(suite, [*recipes, load_recipe("bert-tickets", base)], tasks=glue)
    pairs = zip(cells, made(cells, tmp_path), strict=True)
    zeros = {(cell.task.name, cell.recipe.name[-5:-1]): encoder_zeros(model) for cell, model in pairs}
    for task in ("sst2", "stsb"):
        assert torch.equal(zeros[task, task], zeros[task, "=0.6"])
        assert zeros[task, task].float().mean() == pytest.approx(0.6, abs=1e-4)
    for target, source in (("sst2", "stsb"), ("stsb", "sst2")):
        assert zeros[target, source].float().mean() == pytest.approx(0.6, abs=1e-4)
        assert not torch.equal(zeros[target, source], zeros[target, target])


def test_the_mask_found_in_masked_language_modelling_is_put_on_a_classifier(tmp_path):
    suite = small("study-tickets")
    base = {"schedule.rounds": 1, "budget": 2.0, "sparsity": 0.6}
    found = cells_of(suite, [load_recipe("bert-tickets", base)], tasks=[suite.task("captions-mlm")])
    recipes = [load_recipe("bert-tickets", {**base, "schedule.masks_from": name}) for name in ("captions-mlm", "sst2")]
    used = cells_of(suite, recipes, tasks=[suite.task("sst2")])
    its, here, own = made([*found, *used], tmp_path)
    assert type(its).__name__ == "BertForMaskedLM"
    assert type(here).__name__ == "BertForSequenceClassification"
    assert torch.equal(encoder_zeros(here), encoder_zeros(its))
    assert encoder_zeros(here).float().mean() == pytest.approx(0.6, abs=1e-4)
    assert not torch.equal(encoder_zeros(here), encoder_zeros(own))


def test_the_key_of_a_transfer_holds_the_other_tasks_data_and_training(tmp_path):
    suite = small("study-tickets")
    recipe = load_recipe("bert-tickets", {"schedule.masks_from": "stsb"})

    def keys(*changes):
        changed = small("study-tickets", *changes)
        (cell,) = cells_of(changed, [recipe], tasks=[changed.task("sst2")])
        return cell.reference_key, cell.stage_keys[-1], cell.key

    (cell,) = cells_of(suite, [recipe], tasks=[suite.task("sst2")])
    before = cell.reference_key, cell.stage_keys[-1], cell.key
    assert keys() == before
    for change in (("stsb.train_examples", 40), ("stsb.training", {"epochs": 2}), ("stsb.max_length", 16)):
        after = keys(change)
        assert after[0] == before[0]
        assert after[1] != before[1]
        assert after[2] != before[2]
    assert keys(("stsb.evaluate_examples", 40))[:2] == before[:2]  # not trained on


def test_the_key_of_a_recipe_that_looks_at_no_other_task_holds_its_stated_arguments_alone():
    suite = small("study-tickets")
    (cell,) = cells_of(suite, [load_recipe("magnitude-pruning")], tasks=[suite.task("sst2")])
    (stage,), (method,) = cell.recipe.stages, methods_of(cell.recipe)
    assert cell.elsewhere == {}
    assert cell.stage_keys == (fingerprint([cell.reference_key, stage.method, method.stated()], 16),)


def test_the_key_of_pruning_until_quality_falls_holds_the_metrics():
    recipe = load_recipe("prasanna-m")
    found = set()
    for metrics in (["pearson", "spearman"], ["pearson"]):
        suite = small("study-prasanna", ("stsb.metrics", metrics))
        (cell,) = cells_of(suite, [recipe], tasks=[suite.task("stsb")])
        found.add((cell.reference_key, cell.stage_keys[-1]))
    assert len({reference for reference, _ in found}) == 1
    assert len(found) == 2


def test_masks_from_no_task_and_from_one_without_training_data_are_refused_before_anything_runs():
    suite = small("study-tickets")
    with pytest.raises(UnknownNameError, match=r"bert-tickets\[schedule.masks_from=stbs\].*Did you mean 'stsb'"):
        cells_of(suite, [load_recipe("bert-tickets", {"schedule.masks_from": "stbs"})])
    probing = suite.task("stsb").model_copy(update={"name": "probe", "trained_on": "stsb"})
    wider = suite.model_copy(update={"tasks": (*suite.tasks, probing)})
    with pytest.raises(SuiteError, match=r"task probe has no training data of its own\. Name stsb"):
        cells_of(wider, [load_recipe("bert-tickets", {"schedule.masks_from": "probe"})], tasks=suite.tasks)


@pytest.mark.parametrize(
    ("study", "recipe", "arguments"),
    [
        ("study-gordon", "gordon", {"schedule": "gradual", "sparsity": 0.7}),
        ("study-gordon", "gordon", {"schedule.weights_from": "captions-mlm", "sparsity": 0.7}),
        ("study-prasanna", "prasanna-m", {"schedule.pick": "bad", "schedule.floor": 0.01, "sparsity": 0.19}),
        ("study-lottery", "lottery-ticket", {"schedule.rounds": 1, "sparsity": 0.2, "budget": 2.0}),
    ],
)
def test_a_cell_of_a_study_gives_an_artifact_that_is_pruned_as_asked(study, recipe, arguments, tmp_path):
    suite = small(study)
    cells = cells_of(suite, [load_recipe(recipe, arguments)], tasks=[suite.task("sst2")])
    (model,) = made(cells, tmp_path)
    assert encoder_zeros(model).float().mean() == pytest.approx(arguments["sparsity"], abs=1e-3)
    (stage,) = read_manifest(Store(tmp_path).path(*cells[0].artifact_place)).stages
    assert arguments.items() <= flat(stage.arguments).items()


def test_the_three_ways_of_see_differ_in_what_each_class_loses(tmp_path):
    overrides = [
        ("multi30k-de-en.data.source", "generated"),
        ("multi30k-de-en.data.subset", "lexicon"),
        ("multi30k-de-en.train_examples", 32),
        ("multi30k-de-en.evaluate", ["validation"]),
        ("training.epochs", 0.5),
    ]
    suite = load_suite("study-see", overrides=overrides)
    chosen = [recipe for choice in suite.recipes[1:] for recipe in expand(choice, {"sparsity": 0.6, "budget": 0.0})]
    cells = cells_of(suite, chosen, model="demo-lstm-seq2seq")
    shares = []
    for model in made(cells, tmp_path):
        adapter = adapter_for(model)
        gates = ("input_gates", "hidden_gates")
        classes = [[each.weight for each in adapter.linears(model, [role]).values()] for role in gates]
        classes.append([adapter.word_embedding(model).weight])
        joined = [torch.cat([weight.flatten() for weight in weights]) for weights in classes]
        shares.append([(weights == 0).float().mean().item() for weights in joined])
    blind, uniform, distribution = shares
    assert uniform == pytest.approx([0.6] * 3, abs=1e-3)
    assert max(blind) - min(blind) > 0.01
    assert max(abs(one - other) for one, other in zip(blind, distribution, strict=True)) > 0.01


@pytest.mark.slow
def test_a_study_runs_from_the_command_line_to_its_table(tmp_path):
    text = (SUITES_DIR / "study-tickets.toml").read_text(encoding="utf-8")
    transfer = [line for line in text.splitlines() if 'rewind" = [' not in line and "saliency = " not in line]
    (tmp_path / "transfer.toml").write_text("\n".join(transfer), encoding="utf-8")
    quick = {"pairs": 5, "seconds": 0.05, "patience_seconds": 0.1, "sweep_seconds": 0.05, "energy_seconds": 0.2}
    quick |= {"attack_examples": 2, "attack_queries": 2, "train_examples": 4}
    chosen = [f"{key}={value}" for key, value in [*SMALL, *((f"measuring.{key}", quick[key]) for key in quick)]]
    chosen += ["bert-tickets.budget=1.0", "bert-tickets.schedule.rounds=1"]
    arguments = [part for setting in chosen for part in ("--set", setting)]
    environment = {**os.environ, "BENCH_CACHE": str(tmp_path / "cache")}

    def bench(*words):
        command = [sys.executable, "-m", "bench", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    bench("run", "transfer.toml", "--model", "demo-bert", *arguments)
    matrix = bench("pivot", "transfer.toml", "--rows", "schedule.masks_from", "--columns", "task", "--format", "csv")
    sources = ["schedule.masks_from", "reference", "captions-mlm", "sst2", "stsb"]
    assert [line.split(",")[0] for line in matrix.splitlines()] == sources
    values = matrix.splitlines()[1].split(",")[1:]
    assert 0 <= float(values[0]) <= 1
