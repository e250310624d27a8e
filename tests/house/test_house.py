"""The house rules that can be read off the source: names, folders, and the page that describes them."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "bench").rglob("*.py"))
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_one_name_is_one_class():
    homes: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name.lstrip("_")].append(str(path.relative_to(ROOT)))
    assert len(homes) > 300
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_every_module_stands_in_a_folder():
    loose = {path.name for path in (ROOT / "bench").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py"}


DATA = ("recipes", "datasets", "submissions")


def test_the_page_names_every_folder_in_the_order_of_imports():
    named = re.findall(r"^\| `bench/(\w+)` \|", PAGE, flags=re.MULTILINE)
    there = {path.name for path in (ROOT / "bench").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert set(named) == there
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("layers = [")[2].partition("]")[0]
    assert [name for name in named if name not in DATA] == re.findall(r'"(\w+)"', contract)


@pytest.mark.parametrize("place", sorted(set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", PAGE))))
def test_every_module_that_the_page_names_exists(place):
    assert (ROOT / place).is_file() or (ROOT / "bench" / place).is_file()


def test_no_override_has_a_docstring_that_only_points_to_its_base():
    empty = re.compile(r"^See (?:also )?`[\w.]+`\.?$")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and empty.match(ast.get_docstring(node) or "")
    ]
    assert found == []
