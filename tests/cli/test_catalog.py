"""`bench list`, `show` and `check` answer at once, for everything, and without torch."""

import subprocess
import sys

import pytest

from bench.library.catalog import CATALOG, describe, listing
from bench.spec.recipe import recipe_names
from bench.spec.suite import suite_names


@pytest.mark.parametrize("arguments", [["--help"], *(["list", kind] for kind in CATALOG), ["show", "svd"]])
def test_listing_imports_no_torch(arguments):
    script = (
        "import sys; from bench.cli import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "slow = {'torch', 'transformers', 'datasets', 'pandas', 'matplotlib', 'sklearn', 'codecarbon'}\n"
        "heavy = slow & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", CATALOG)
def test_every_listing_has_rows_with_the_same_columns(kind):
    rows = listing(kind)
    assert rows
    assert {tuple(row) for row in rows} == {tuple(rows[0])}


@pytest.mark.parametrize("kind", [kind for kind in CATALOG if kind != "models"])
def test_everything_that_is_listed_can_be_shown(kind):
    for row in listing(kind):
        assert describe(row["name"])


@pytest.mark.parametrize("suite", suite_names())
def test_check_accepts_every_suite_of_the_package(bench, tmp_path, suite):
    done = bench("check", suite, cwd=tmp_path)
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


def test_sentences_of_a_recipe_are_shown_on_lines_of_their_own(bench, tmp_path):
    done = bench("show", "tied-transformer", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for sentence in describe("tied-transformer")["recipe"]["checked"]:
        assert f"    - {sentence}\n" in done.stdout
