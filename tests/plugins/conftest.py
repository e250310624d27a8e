"""Packages of somebody else, installed by pip beside what is installed here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SEVERAL = """
import contextlib, io, json, sys
from bench.cli import main
results = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["bench", *arguments]
    said, errors, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
    results.append([status, said.getvalue(), errors.getvalue()])
json.dump(results, sys.stdout)
"""


@pytest.fixture(scope="session")
def install(tmp_path_factory):
    """A function that installs packages of this folder, and gives a function that runs a command beside them."""

    def installed(*packages):
        folder = tmp_path_factory.mktemp("installed")
        for package in packages:
            source = shutil.copytree(HERE / package, folder / "source" / package)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            offline = ["--no-index", "--no-deps", "--no-build-isolation"]
            subprocess.run([*pip, *offline, "--target", folder / "site", source], check=True)
        path = os.pathsep.join(filter(None, [str(folder / "site"), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path, "BENCH_CACHE": str(folder / "cache"), "COLUMNS": "200"}

        def call(*arguments, cwd=folder, python=False):
            command = [sys.executable, *(() if python else ("-m", "bench")), *map(str, arguments)]
            return subprocess.run(
                command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=280
            )

        def several(*commands):
            """What each command says, by its words: one process for all of them, as starting one takes a second."""
            done = call("-c", SEVERAL, json.dumps(commands), python=True)
            assert done.returncode == 0, done.stderr
            results = zip(commands, json.loads(done.stdout), strict=True)
            return {tuple(words): subprocess.CompletedProcess(words, *result) for words, result in results}

        call.folder, call.several = folder, several
        return call

    return installed


@pytest.fixture(scope="session")
def outside(install):
    """A function that runs `bench` in an environment where the package `outside` is installed, in one folder."""
    return install("outside")


@pytest.fixture(scope="session")
def broken(install):
    """The same, where the package `broken` is installed as well."""
    return install("outside", "broken")
