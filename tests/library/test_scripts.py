"""The library in scripts without a main guard, `python -c`, standard input and a notebook's kernel."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from made_page import SUITE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

SCRIPT = """
with open("times", "a") as times:
    times.write("once")
import bench
results = bench.run("my-suite.toml", recipes=["none"], results="out", cache="cache")
print(len(results), "records", len(results.failures), "failures")
"""
# A kernel runs each cell in a module __main__ that is no file, inside a program that is something else.
KERNEL = """
import sys, types
cells = sys.stdin.read()
sys.modules["__main__"] = types.ModuleType("__main__")
exec(compile(cells, "<cell>", "exec"), vars(sys.modules["__main__"]))
"""


@pytest.mark.parametrize("how", ["file", "-c", "stdin", "kernel"])
def test_a_run_needs_no_main_guard(how, tmp_path):
    (tmp_path / "my-suite.toml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = {"file": ["script.py"], "-c": ["-c", SCRIPT], "stdin": ["-"], "kernel": ["-c", KERNEL]}[how]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        input=SCRIPT if how in ("stdin", "kernel") else "",
        env={**os.environ, "BENCH_CACHE": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 records 0 failures\n"
    assert done.stderr == ""  # quiet if nobody watches
    assert (tmp_path / "times").read_text() == "once"
    assert not (tmp_path / "other").exists()
