"""The wheel carries suites and recipes, and what is installed from it works in any folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
OFFLINE = ["--no-index", "--no-deps"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as `pip wheel .` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (found,) = folder.glob("bench-*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_holds_every_suite_and_recipe(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    suites = {f"bench/suites/{path.name}" for path in (ROOT / "suites").glob("*.toml")}
    recipes = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bench" / "recipes").rglob("*.toml")}
    assert suites
    assert recipes
    assert suites | recipes <= names


@pytest.mark.slow
def test_what_is_installed_from_the_wheel_works_in_any_folder(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run([*PIP, "install", *OFFLINE, "--target", site, wheel], check=True, capture_output=True, text=True)

    def call(*command):
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert call(sys.executable, "-c", "import bench; print(bench.__file__)").startswith(str(site))
    assert "demo " in call(sys.executable, "-m", "bench", "list", "suites")
    assert "demo is sound" in call(sys.executable, site / "bin" / "bench", "check", "demo")
