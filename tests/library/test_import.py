"""`import bench` costs nothing, and its names are the same at run time and for type checkers."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.base.schema import read_toml

PACKAGE = Path(bench.__file__).parent


def test_importing_loads_nothing_of_weight():
    script = "import sys; before = set(sys.modules); import bench; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("bench")} == {"bench", "bench.base", "bench.base.version"}
    assert not {"torch", "numpy", "pydantic", "typer", "rich"} & loaded


def test_the_stub_names_what_the_package_gives_and_where_it_is_from():
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    told = {alias.asname: node.module for node in tree.body for alias in node.names}
    assert all(alias.name == alias.asname for node in tree.body for alias in node.names)  # else it is not exported
    assert set(told) == set(bench.__all__)
    for name, module in told.items():
        assert getattr(importlib.import_module(module), name) is getattr(bench, name)


def test_editors_see_every_name():
    assert set(bench.__all__) <= set(dir(bench))


@pytest.mark.parametrize("name", [name for name in bench.__all__ if name != "__version__"])
def test_every_name_says_what_it_is(name):
    assert (getattr(bench, name).__doc__ or "").strip()


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'runn'"):
        _ = bench.runn  # type: ignore[attr-defined]


def test_the_build_reads_the_version_that_the_package_has():
    root = PACKAGE.parent
    path = read_toml(root / "pyproject.toml")["tool"]["hatch"]["version"]["path"]
    assert re.findall(r'__version__ = "(.*)"', (root / path).read_text(encoding="utf-8")) == [bench.__version__]
