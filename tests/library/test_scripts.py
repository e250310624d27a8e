"""The library in scripts without a main guard, `python -c`, standard input and a notebook's kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


def test_an_interrupted_run_leaves_no_process_behind_and_resumes_when_it_is_called_again(tmp_path):
    (tmp_path / "my-suite.toml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "script.py"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not (started := at_work(tmp_path, running.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=deadline - time.monotonic())
    assert running.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    while any(map(is_alive, started)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, started))
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert again.stdout == "1 records 0 failures\n", again.stderr


def at_work(folder: Path, pid: int) -> list[int]:
    """What the fork server of a run has forked, as soon as one of them writes to the log and no signal ends it."""
    if not (folder / "cache" / "logs" / "my-suite.log").exists():
        return []
    return [child for server in children_of(pid) for child in children_of(server)]


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
