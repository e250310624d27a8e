"""`bench list`, `show` and `check` answer at once, for everything, and without torch."""

import functools
import subprocess
import sys

import pytest

from bench.base import schema
from bench.library.catalog import CATALOG, describe, listing
from bench.spec.recipe import recipe_names
from bench.spec.suite import suite_names


def test_listing_imports_no_torch():
    script = (
        "import sys; from bench.cli import app\n"
        "slow = {'torch', 'transformers', 'datasets', 'pandas', 'matplotlib', 'sklearn', 'codecarbon'}\n"
        "for arguments in map(str.split, sys.argv[1:]):\n"
        "    try:\n        app(arguments)\n    except SystemExit as ended:\n        assert not ended.code, arguments\n"
        "    heavy = slow & set(sys.modules)\n"
        "    if heavy:\n        sys.exit(f'{arguments} imported {heavy}')\n"
    )
    every = ["--help", *(f"list {kind}" for kind in CATALOG), "show svd"]
    done = subprocess.run([sys.executable, "-c", script, *every], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", CATALOG)
def test_every_listing_has_rows_with_the_same_columns(kind):
    rows = listing(kind)
    assert rows
    assert {tuple(row) for row in rows} == {tuple(rows[0])}


@pytest.mark.parametrize("kind", [kind for kind in CATALOG if kind != "models"])
def test_everything_that_is_listed_can_be_shown(kind, monkeypatch):
    monkeypatch.setattr(schema, "read_toml", functools.cache(schema.read_toml))  # each name looks through every suite
    for row in listing(kind):
        assert describe(row["name"])


@pytest.mark.parametrize("suite", suite_names())
def test_check_accepts_every_suite_of_the_package(command, tmp_path, suite):
    done = command("check", suite, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stdout


def test_every_recipe_says_what_it_stands_for():
    for name in recipe_names():
        assert describe(name)["recipe"]["cite"]


def test_recipes_are_listed_with_what_they_save_their_status_and_their_citation():
    rows = {row["name"]: row for row in listing("recipes", full=True)}
    assert (
        rows["albert-sharing"].items()
        >= {
            "name": "albert-sharing",
            "family": "weight-sharing",
            "rows": "W5",
            "saves": "bytes",
            "status": "mechanism",
            "cite": "Lan et al. 2020, arXiv:1909.11942, §3.1",
        }.items()
    )
    assert {row["name"] for row in listing("recipes")} == set(rows)
    assert rows["none"]["saves"] == rows["none"]["rows"] == "-"
    assert "pretraining" in {row["name"]: row for row in listing("recipes", full=True)}["albert-sharing"]["missing"]


def test_a_recipe_is_shown_with_its_stages_every_argument_and_what_was_verified():
    shown = describe("tied-transformer")["recipe"]
    assert (shown["status"], shown["saves"], shown["rows"]) == ("faithful", ("bytes",), ("W1",))
    (stage,) = shown["stages"]
    assert (stage["method"], stage["tie_cross"], stage["budget"], stage["terms"]["labels"]["weight"]) == (
        "share",
        "self",
        1.0,
        1.0,
    )
    assert [figure["verified"] for figure in shown["published"]] == [True]
    assert any("AAAI abstract" in line for line in shown["checked"])


def test_sentences_of_a_recipe_are_shown_on_lines_of_their_own(command, tmp_path):
    done = command("show", "tied-transformer", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for sentence in describe("tied-transformer")["recipe"]["checked"]:
        assert f"    - {sentence}\n" in done.stdout
