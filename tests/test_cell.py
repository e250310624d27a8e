"""The keys under which a cell is filed."""

from bench.cell import Conditions, plan
from bench.recipe import load_recipe
from bench.suite import load_suite


def cell_of(**changes):
    suite = load_suite("demo", overrides=[(key.replace("__", "."), value) for key, value in changes.items()])
    given = {"model": "demo-bert", "recipes": [load_recipe("none")], "seeds": [0], "conditions": Conditions()}
    return plan(suite, tasks=suite.tasks[:1], **given)[0]


def test_a_cell_that_skips_measures_is_another_record_of_the_same_artifact():
    whole, fewer, none = cell_of(), cell_of(measuring__skip=["latency", "carbon"]), cell_of(measuring__skip=[])
    assert fewer.key != whole.key == none.key
    assert fewer.artifact_place == whole.artifact_place
    assert cell_of(measuring__skip=["carbon", "latency"]).key == fewer.key
