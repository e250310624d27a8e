"""Which suite and recipes a run has: names, paths and objects give the same, and changes go where they belong."""

from __future__ import annotations

import pytest
from made_page import SUITE

import bench
from bench.base.errors import ModelError, PluginError, SuiteError, UnknownNameError
from bench.library.running import choose, plan_run
from bench.methods.base.method import METHODS
from bench.methods.prune.saliencies import SALIENCIES
from bench.spec.suite import Variants

CHANGES = {"training.epochs": 0.5, "sentiment.train_examples": 16}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my-suite.toml"
    path.write_text(SUITE, encoding="utf-8")
    return path


def test_a_suite_by_path_and_as_an_object_take_the_same_changes(file):
    by_path, _ = choose(file, None, CHANGES)
    as_object, _ = choose(bench.load_suite(str(file)), None, CHANGES)
    assert by_path == as_object
    assert by_path.setting_id == as_object.setting_id != bench.load_suite(str(file)).setting_id
    assert by_path.setting.training.epochs == 0.5
    assert by_path.task("sentiment").train_examples == 16
    assert by_path.task_changes == ("sentiment.train_examples=16",)


def test_a_change_that_is_not_valid_is_refused_for_an_object_too(file):
    with pytest.raises(SuiteError, match="Did you mean 'epochs'"):
        choose(bench.load_suite(str(file)), None, {"training.epoch": 1})


def test_lists_are_grids_and_a_recipe_object_stays_as_it_is(file):
    own = bench.load_recipe("svd", {"ratio": 0.5})
    _, recipes = choose(file, ["none", "magnitude-pruning", own], {"sparsity": [0.5, 0.9]})
    assert [recipe.name for recipe in recipes] == [
        "none",
        "magnitude-pruning[sparsity=0.5]",
        "magnitude-pruning[sparsity=0.9]",
        "svd[ratio=0.5]",
    ]
    assert recipes[-1] is own
    _, named = choose(file, [Variants(recipe="svd", set={"ratio": [0.25, 0.5]})], {})
    assert [recipe.name for recipe in named] == ["svd[ratio=0.25]", "svd[ratio=0.5]"]


def test_a_key_that_could_mean_several_recipes_is_refused(file):
    with pytest.raises(SuiteError, match=r"write RECIPE\.bits with one of: int8, svd"):
        choose(file, ["int8", "svd"], {"bits": 4})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"device": "tpu"}, UnknownNameError, "no device named 'tpu'"),
        ({"labels": ["positive"]}, ModelError, "expected two or more labels"),
        ({"tasks": ["sentimnt"]}, UnknownNameError, "Did you mean 'sentiment'"),
        ({"recipes": ["int9"]}, UnknownNameError, "Did you mean 'int8'"),
    ],
)
def test_what_does_not_fit_is_found_before_anything_runs(arguments, error, message, file, tmp_path):
    with pytest.raises(error, match=message):
        plan_run(file, results=tmp_path / "out", cache=tmp_path / "cache", **arguments)
    assert list(tmp_path.iterdir()) == [file]


def test_the_suite_of_a_task_that_several_suites_have_must_be_named():
    with pytest.raises(SuiteError, match=r"suites have a task named 'sst2' .*choose one with suite="):
        bench.compress("demo-bert", "int8", task="sst2")


def test_a_module_without_a_tokenizer_is_refused(tiny_bert, file, tmp_path):
    with pytest.raises(ModelError, match="give its tokenizer"):
        bench.compress(tiny_bert(), "int8", task="sentiment", suite=file, cache=tmp_path / "cache")
    with pytest.raises(ModelError, match="give its tokenizer"):
        bench.save_artifact(tiny_bert(), tmp_path / "saved")


def test_registering_refuses_a_kind_that_there_is_not_and_a_name_that_is_taken():
    with pytest.raises(UnknownNameError, match="Did you mean 'method'"):
        bench.register("methods", "mine")
    for registry, kind, name in ((METHODS, "method", "quantize"), (SALIENCIES, "saliency", "magnitude")):
        with pytest.raises(
            PluginError, match=rf"{kind} '{name}' is registered twice: by bench\..* and by test_choosing"
        ):
            bench.register(kind, name)(type("Mine", (), {}))
        assert registry.get(name).__module__.startswith("bench.")
