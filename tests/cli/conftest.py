"""A suite so small that a real run of it takes seconds, and the command line as a user has it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TINY = """
name = "tiny"
title = "A tiny generated suite"
generated = true
model = "demo-bert"
recipes = ["none", "int8"]
[setting]
max_length = 32
[setting.training]
epochs = 1
learning_rate = 1e-3
[setting.measuring]
country = "USA"
threads = 1
length = 8
processes = 2
pairs = 5
seconds = 0.05
throughput_batch = 2
energy_seconds = 0.2
energy_sample_s = 0.1
attack_examples = 2
attack_queries = 5
train_examples = 8
[[tasks]]
name = "sentiment"
kind = "classification"
labels = ["negative", "positive"]
metrics = ["accuracy"]
data = { source = "generated", subset = "sentiment" }
ood = ["ood"]
train_examples = 32
evaluate_examples = 16
"""


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
