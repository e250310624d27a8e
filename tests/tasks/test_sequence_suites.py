"""The suites of translation and language modelling, and the two that are generated run from end to end."""

import json
import os
import subprocess
import sys

import pytest

from bench.models.builtin import BUILTINS
from bench.spec.suite import load_suite
from bench.tasks.data import load_data
from bench.tasks.kinds.kind import KINDS

NAMES = ("demo-language", "demo-translation", "language", "translation")
QUICK = ("train_examples=256", "evaluate_examples=20")


@pytest.mark.parametrize("name", NAMES)
def test_each_suite_names_a_built_in_model_and_the_metric_of_its_kind(name):
    suite = load_suite(name)
    assert suite.model in BUILTINS
    (task,) = suite.tasks
    assert task.metrics == {"translation": ("bleu",), "language_modelling": ("perplexity",)}[task.kind]
    assert suite.generated is name.startswith("demo-")
    assert KINDS.get(task.kind).head in ("translation", "causal-language-modelling")


@pytest.mark.parametrize("name", ["demo-language", "demo-translation"])
def test_generated_suites_need_no_data(name):
    (task,) = load_suite(name).tasks
    data = load_data(task, data_dir=None)
    assert data.generated
    assert set(data.splits) == {"train", "validation", "ood"}


@pytest.mark.shared
@pytest.mark.parametrize("name", ["language", "translation"])
def test_real_suites_read_the_shared_data(name, real_data):
    (task,) = load_suite(name).tasks
    data = load_data(task, data_dir=real_data)
    assert {split: len(rows) for split, rows in data.splits.items()} == {
        "train": 16000 if name == "translation" else 29000,
        "test": 1000,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo-language", "demo-translation"])
def test_a_generated_suite_runs_from_end_to_end(name, tmp_path):
    (task,) = load_suite(name).tasks
    settings = [f"{task.name}.{each}" for each in QUICK]
    settings += ["training.epochs=1", "measuring.pairs=5", "measuring.patience_seconds=0.2"]
    chosen = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "bench", "run", name, "--device", "cpu", *chosen]
    environment = {**os.environ, "BENCH_CACHE": str(tmp_path / "cache")}
    made = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert made.returncode == 0, made.stdout + made.stderr
    (path,) = (tmp_path / "results").rglob("*.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    metric = task.metrics[0]
    assert {metric, "quality", "macs", "params", "size_bytes", "latency_p50_s"} <= set(record["values"])
    assert record["values"]["retention"] == 1.0
    for column in ("calibration_ece", "attack_success", "accuracy"):
        assert record["absent"][column]
    if name == "demo-translation":
        assert record["conditions"]["quality"]["scored"]["validation"]["bleu_signature"]
        assert record["values"]["macs_decoder_token"] > 0
        assert record["values"]["label_loyalty"] == 1.0
    else:
        assert record["values"]["fidelity_kl"] == 0.0
        assert "generates no text" in record["absent"]["decoding_sentence_s"]
