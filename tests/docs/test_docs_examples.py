"""What the pages in docs/ show can be used as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.analysis.aggregate import aggregate
from bench.columns import COLUMNS
from bench.layers.cells import Cells
from bench.methods.prune.prune import Prune
from bench.methods.prune.saliency import SALIENCIES
from bench.methods.prune.selector import SELECTORS
from bench.methods.prune.site import Piece, Site
from bench.methods.quantize.quantize import Quantize
from bench.methods.quantize.range import RANGES, Ranged
from bench.plan.recipes import load_recipe, methods_of
from bench.spec.suite import load_suite

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_recipe_of_the_page_loads(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("recipes.md", "toml")[0], encoding="utf-8")
    assert [stage.method for stage in load_recipe(str(path)).stages] == ["prune", "quantize"]


def test_the_pruning_recipe_of_the_page_loads(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("pruning.md", "toml")[0], encoding="utf-8")
    assert [stage.method for stage in load_recipe(str(path)).stages] == ["prune", "prune", "shrink", "quantize"]


def test_the_saliency_of_the_page_keeps_what_it_says(monkeypatch):
    weights = torch.nn.Parameter(torch.tensor([[1.0, -4.0], [2.0, 0.5]]))
    site = Site(name="w", kind="", pieces=(Piece(name="w", parameter=weights, cell=(1, 1)),))
    monkeypatch.setattr(SALIENCIES, "_plugins", dict(SALIENCIES._plugins))
    exec(blocks("pruning.md", "python")[0], {})
    method = Prune(sparsity=0.5, saliency="weakest", power=2.0)
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
    ranged = Ranged(values=values, cells=cells, rounded=lambda bounds: values)
    low, high = RANGES.get("deviations")().bounds(ranged)
    assert high.tolist() == [[3.0, 9.0]]
    assert torch.equal(low, -high)
    method = Quantize(scheme="weights", range="deviations", deviations=4.0)
    assert method.chosen(RANGES, method.range).bounds(ranged).high.tolist() == [[4.0, 12.0]]
    assert "deviations" not in Quantize(scheme="weights", range="deviations").model_extra


def test_the_suite_of_the_page_is_valid(tmp_path):
    path = tmp_path / "shown.toml"
    path.write_text(blocks("suites.md", "toml")[0], encoding="utf-8")
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
    assert aggregate(name, [[1.0], [4.0]]) == pytest.approx(mean)
