"""Scripts without a main guard, `python -c` and standard input: each runs once, and its cells finish."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(280)

SUITE = """
name = "tiny"
title = "A tiny generated suite"
generated = true
model = "demo-bert"
[setting]
max_length = 16
[setting.training]
epochs = 0.1
[setting.measuring]
country = "USA"
threads = 1
length = 8
skip = ["latency", "start", "memory", "carbon", "attack"]
train_examples = 4
[[tasks]]
name = "sentiment"
kind = "classification"
labels = ["negative", "positive"]
metrics = ["accuracy"]
data = { source = "generated", subset = "sentiment" }
train_examples = 16
evaluate_examples = 8
"""

RUN = """
from pathlib import Path
from bench.artifacts.store import Store
from bench.engine.runner import Places, Run
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import load_recipe
from bench.spec.suite import load_suite
with open("times", "a") as times:
    times.write("once")
suite = load_suite("tiny.toml")
recipes = [load_recipe("none")]
cells = plan(suite, tasks=suite.tasks, model=suite.model, recipes=recipes, seeds=[0], conditions=Conditions())
run = Run(suite, cells, places=Places(results=Path("results"), store=Store(Path("cache"))))
print([event.text for event in run.go() if event.kind in ("recorded", "failed")])
"""

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
@pytest.mark.parametrize("how", ["file", "-c", "stdin"])
def test_a_suite_runs_from_a_script_without_a_main_guard(how, tmp_path):
    (tmp_path / "tiny.toml").write_text(SUITE, encoding="utf-8")
    assert called(how, RUN, tmp_path) == "['']"
    assert len(list(tmp_path.glob("results/tiny/*/sentiment--*.json"))) == 1


@pytest.mark.slow
def test_a_child_of_a_system_without_a_fork_server_never_runs_it_either(tmp_path):
    spawned = "import multiprocessing\nmultiprocessing.get_all_start_methods = lambda: ['spawn']\n"
    assert called("file", spawned + CHILD, tmp_path) == "42 None"
