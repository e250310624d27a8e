"""A suite so small that a real run of it takes seconds, and the command line as a user has it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys

import pytest
from tiny_suite import TINY

from bench.cli import main


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


@pytest.fixture
def command(monkeypatch):
    """The same inside this process, for what needs no process of its own: starting one costs most of such a test."""

    def call(*arguments, cwd):
        said, errors, status = io.StringIO(), io.StringIO(), 0
        with monkeypatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            patch.chdir(cwd)
            patch.setattr(sys, "argv", ["bench", *map(str, arguments)])
            for name, value in {"BENCH_CACHE": str(cwd / "cache"), "COLUMNS": "200"}.items():
                patch.setenv(name, value)
            patch.setenv("PYDANTIC_DISABLE_PLUGINS", "1")  # which the command sets, and which ends with it here
            try:
                main()
            except SystemExit as ended:
                status = ended.code or 0
        return subprocess.CompletedProcess(arguments, status, said.getvalue(), errors.getvalue())

    return call


@pytest.fixture(scope="session")
def finished(bench, tmp_path_factory):
    """A folder in which the tiny suite was run to its end, with what the run printed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(TINY, encoding="utf-8")
    return folder, bench("run", "tiny.toml", cwd=folder)
