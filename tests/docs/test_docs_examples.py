"""What the pages in docs/ show can be used as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import torch

from bench.analysis.means import aggregate
from bench.columns import COLUMNS, column
from bench.layers.cells import Cells
from bench.methods.prune.prune import Prune
from bench.methods.prune.saliencies import SALIENCIES
from bench.methods.prune.selectors import SELECTORS
from bench.methods.prune.site import Site, SitePiece
from bench.methods.quantize.quantize import Quantize
from bench.methods.quantize.ranges import RANGES, RangeInput
from bench.plan.recipes import expand, load_recipe, methods_of
from bench.spec.data import Role, TableData
from bench.spec.suite import Suite, Variants, load_suite

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_recipe_of_the_page_loads(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("recipes.md", "toml")[0], encoding="utf-8")
    assert [stage.method for stage in load_recipe(str(path)).stages] == ["prune", "quantize"]


def test_the_choice_of_the_recipes_page_is_a_table_with_its_argument(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("recipes.md", "toml")[1], encoding="utf-8")
    (method,) = methods_of(load_recipe(str(path)))
    assert method.saliency.table(stated=True) == {"name": "movement", "start": "magnitude"}


def test_the_rows_of_the_recipes_page_are_a_grid_under_the_names_that_it_says():
    _, grid = tomllib.loads(blocks("recipes.md", "toml")[2])["recipes"]
    names = [recipe.name for recipe in expand(Variants(**grid))]
    assert len(names) == 3
    assert names[-1] == "magnitude-pruning[sparsity=0.9,schedule.rounds=2]"


def test_the_choice_of_the_methods_page_takes_a_name_or_a_table():
    names = {}
    exec(compile(blocks("methods.md", "python")[1], "methods.md", "exec", dont_inherit=True), names)
    assert names["DropSome"]().order.numbers(3) == [2, 1, 0]
    method = names["DropSome"](order={"name": "from-the-top", "spare": 1})
    assert method.order.numbers(3) == [1, 0]
    assert method.stated() == {"order": {"name": "from-the-top", "spare": 1}}


def test_the_pruning_recipe_of_the_page_loads(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("pruning.md", "toml")[0], encoding="utf-8")
    assert [stage.method for stage in load_recipe(str(path)).stages] == ["prune", "prune", "shrink", "quantize"]


def test_the_early_exit_recipe_of_the_page_loads(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("early-exit.md", "toml")[0], encoding="utf-8")
    exits, _, at = methods_of(load_recipe(str(path)))
    assert set(exits.terms.working) == {"labels", "logits"}
    assert at.criterion.patience == 2


def test_the_recipe_that_drops_tokens_of_the_page_loads(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("early-exit.md", "toml")[1], encoding="utf-8")
    drops, _ = methods_of(load_recipe(str(path)))
    assert drops.rule.keep == 0.5
    assert set(drops.terms.working) == {"labels", "logits"}


def test_the_saliency_of_the_page_keeps_what_it_says(monkeypatch):
    weights = torch.nn.Parameter(torch.tensor([[1.0, -4.0], [2.0, 0.5]]))
    site = Site(name="w", kind="", pieces=(SitePiece(name="w", parameter=weights, cell=(1, 1)),))
    monkeypatch.setattr(SALIENCIES, "_plugins", dict(SALIENCIES._plugins))
    exec(blocks("pruning.md", "python")[0], {})
    method = Prune(sparsity=0.5, saliency={"name": "weakest", "power": 2.0})
    subject = SimpleNamespace(change=lambda piece: piece.parameter.detach())
    scores = method.saliency.scores([site], subject)
    assert scores["w"].tolist() == [1.0, 0.0625, 0.25, 4.0]
    masks = SELECTORS.made(method.scope).select([site], scores, 0.5)
    assert masks["w"].tolist() == [True, False, False, True]


def test_the_quantization_recipe_of_the_page_loads(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("quantization.md", "toml")[0], encoding="utf-8")
    (method,) = methods_of(load_recipe(str(path)))
    assert method.budget == 1.0


def test_the_range_of_the_page_covers_what_it_says(monkeypatch):
    monkeypatch.setattr(RANGES, "_plugins", dict(RANGES._plugins))
    exec(blocks("quantization.md", "python")[0], {})
    values = torch.tensor([[1.0, -1.0, 3.0, 3.0]])
    cells = Cells(rows=1, columns=4, groups=1, bucket=2)
    given = RangeInput(values=values, cells=cells, rounded=lambda bounds: values)
    low, high = RANGES.get("deviations")().bounds(given)
    assert high.tolist() == [[3.0, 9.0]]
    assert torch.equal(low, -high)
    method = Quantize(scheme="weights", range={"name": "deviations", "count": 4.0})
    assert method.range.bounds(given).high.tolist() == [[4.0, 12.0]]


def _whole_suite(block):
    """The block as a suite: what it lacks is taken from a suite that has one task."""
    found = tomllib.loads(block)
    base = {"name": "base", "title": "Base", "setting": {"measuring": {"country": "FRA"}}}
    task = {"name": "own", "kind": "classification", "metrics": ["accuracy"], "data": "glue/sst2"}
    if isinstance(found.get("tasks"), dict):  # keys of one task
        found["tasks"] = [{**task, **found["tasks"]}]
    return {**base, "tasks": [task], **found}


@pytest.mark.parametrize("block", blocks("suites.md", "toml"))
def test_every_toml_of_the_suites_page_is_part_of_a_suite(block):
    assert Suite.model_validate(_whole_suite(block)).tasks


def test_the_suites_page_shows_a_task_in_five_lines_and_a_suite_in_fifteen():
    task, suite = blocks("suites.md", "toml")[:2]
    assert len([line for line in task.splitlines() if line]) == 5
    assert len([line for line in suite.splitlines() if line and not line.startswith("[")]) <= 15


def test_the_suites_page_names_every_key_of_a_tasks_data_and_every_role():
    page = (DOCS / "suites.md").read_text(encoding="utf-8")
    for name in (*TableData.model_fields, *get_args(Role)):
        assert f"`{name}`" in page, name


def test_the_suite_of_the_page_is_valid(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(next(block for block in blocks("suites.md", "toml") if "[[tracks]]" in block), encoding="utf-8")
    suite = load_suite(str(path))
    assert [track.name for track in suite.tracks] == ["small"]


def test_the_measures_page_names_only_columns_that_exist():
    named = re.findall(r"^\| (`.*?) \|", (DOCS / "measures.md").read_text(encoding="utf-8"), re.MULTILINE)
    for name in re.findall(r"`(\w+\*?)`", " ".join(named)):
        assert any(column.startswith(name.rstrip("*")) for column in COLUMNS) if "*" in name else name in COLUMNS


@pytest.mark.parametrize(
    ("name", "mean"), [("speedup", 2.0), ("memory_peak_bytes", 4), ("compress_s", 5), ("macs", 2.5)]
)
def test_means_follow_the_rules_of_the_page(name, mean):
    assert aggregate(column(name), [[1.0], [4.0]]) == pytest.approx(mean)


def test_the_column_of_the_methods_page_can_be_registered_with_its_interval(restored):
    restored(COLUMNS)
    (example,) = [code for code in blocks("methods.md", "python") if "COLUMNS.register" in code]
    exec(compile(example, "methods.md", "exec"), {"__name__": "my_package.outlet"})
    assert column("outlet_j").ends.names() == ("outlet_j_low", "outlet_j_high")
    assert aggregate(column("outlet_j"), [[1.0], [4.0]]) == pytest.approx(2.0)
