"""The main module of whoever starts a child, such as a script without a main guard, never runs in the child."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(280)

CHILD = """
from pathlib import Path
from bench.engine.processes import Child, wait_for
from test_processes import answer
with open("times", "a") as times:
    times.write("once")
child = Child(answer, 21, log=Path("log"))
while (outcome := child.poll(lambda *_: None)) is None:
    wait_for([child])
print(outcome.result, outcome.cause)
"""


def called(how, script, folder):
    """What the script printed as a file, after `-c`, or from standard input."""
    (folder / "script.py").write_text(script, encoding="utf-8")
    command = {"file": ["script.py"], "-c": ["-c", script], "stdin": ["-"]}[how]
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        input=script if how == "stdin" else "",
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "times").read_text() == "once"
    return done.stdout.strip()


@pytest.mark.parametrize("how", ["file", *(pytest.param(how, marks=pytest.mark.slow) for how in ("-c", "stdin"))])
def test_a_child_never_runs_the_callers_main_module(how, tmp_path):
    assert called(how, CHILD, tmp_path) == "42 None"


@pytest.mark.slow
def test_a_child_of_a_system_without_a_fork_server_never_runs_it_either(tmp_path):
    spawned = "import multiprocessing\nmultiprocessing.get_all_start_methods = lambda: ['spawn']\n"
    assert called("file", spawned + CHILD, tmp_path) == "42 None"
