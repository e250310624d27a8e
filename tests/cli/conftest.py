"""A suite so small that a real run of it takes seconds, and the command line as a user has it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tiny_suite import TINY


@pytest.fixture(scope="session")
def bench():
    """A function that runs the command line in a folder and gives its exit status, output and errors."""

    def call(*arguments, cwd, start_only=False):
        command = [sys.executable, "-m", "bench", *map(str, arguments)]
        environment = {**os.environ, "BENCH_CACHE": str(cwd / "cache"), "COLUMNS": "200"}
        if start_only:
            return subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True)
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280)

    return call


@pytest.fixture(scope="session")
def finished(bench, tmp_path_factory):
    """A folder in which the tiny suite was run to its end, with what the run printed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(TINY, encoding="utf-8")
    return folder, bench("run", "tiny.toml", cwd=folder)
