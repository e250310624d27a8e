"""`bench run` from the command line: records, resuming after every kind of death, and errors in one line."""

import json
import os
import signal
import time
from pathlib import Path

import pandas
import pytest
from tiny_suite import TINY

from bench.columns import COLUMNS
from bench.records.record import read_records
from bench.spec.suite import load_suite


def records_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("results/tiny/*/*.json") if not path.name.endswith(".failed.json"))


def test_a_run_gives_one_record_a_cell_and_ends_with_the_board_and_the_split_of_time(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr
    assert len(records_in(folder)) == 2
    assert "int8" in done.stdout
    assert "enerated" in done.stdout
    assert "2 records in" in done.stdout
    assert "other" in done.stdout


def test_every_column_of_a_record_has_a_value_or_a_reason(finished):
    folder, _ = finished
    for record in read_records(folder / "results", "tiny"):
        assert set(record.values) | set(record.absent) == {name for name in COLUMNS if not COLUMNS[name].of_boards}
        assert not set(record.values) & set(record.absent)
        assert all(record.absent.values())


def test_the_reference_is_as_good_loyal_and_large_as_itself(finished):
    folder, _ = finished
    (reference,) = [record for record in read_records(folder / "results") if record.recipe == "none"]
    expected = {"retention": 1, "label_loyalty": 1, "fidelity_kl": 0, "compression": 1, "speedup_layers": 1}
    assert {name: reference.values[name] for name in expected} == expected


def test_int8_is_smaller_with_the_same_macs_and_parameters(finished):
    folder, _ = finished
    (int8,) = [record for record in read_records(folder / "results") if record.recipe == "int8"]
    assert int8.values["size_bytes"] < 0.5 * int8.reference["size_bytes"]
    assert int8.values["macs"] == int8.reference["macs"]
    assert int8.values["params"] == int8.reference["params"]
    assert int8.values["bops"] < 0.2 * int8.reference["bops"]


def test_a_record_says_what_was_found_of_model_and_texts_before_the_run(finished):
    folder, _ = finished
    for record in read_records(folder / "results", "tiny"):
        assert record.conditions["fit"]["positions"] == 128
        assert "trained" in record.conditions["fit"]["unknown_tokens_absent"]


def test_a_record_holds_no_path_of_the_machine(finished):
    folder, _ = finished
    for path in records_in(folder):
        assert str(folder) not in path.read_text()
        assert str(Path.home()) + "/" not in path.read_text()


def test_a_second_run_starts_no_process_and_writes_nothing(finished, command, monkeypatch):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in records_in(folder)}
    monkeypatch.setattr("bench.engine.runner.Child", lambda *_, **__: pytest.fail("a process was started"))
    again = command("run", "tiny.toml", cwd=folder)
    assert again.returncode == 0
    assert "2 cells already done, skipped" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in records_in(folder)} == before


def test_the_written_files_can_be_listed_ranked_and_drawn(finished, command):
    folder, _ = finished
    board = command("leaderboard", "tiny.toml", "--format", "json", cwd=folder)
    assert [row["values"]["recipe"] for row in json.loads(board.stdout)["rows"]]
    drawn = command("pareto", "tiny.toml", "--x", "size_bytes", "--out", "f.svg", "--out", "f.png", cwd=folder)
    assert drawn.returncode == 0, drawn.stderr
    assert (folder / "f.svg").read_text().startswith("<?xml")
    assert (folder / "f.png").read_bytes().startswith(b"\x89PNG")
    for suite in ("tiny", "tiny.toml"):
        assert "sentiment" in command("table", suite, cwd=folder).stdout
    cached = command("cache", "list", cwd=folder).stdout
    assert "reference of demo-bert on sentiment" in cached
    assert "int8 of demo-bert on sentiment" in cached


@pytest.mark.slow
def test_one_training_serves_every_depth_that_is_cut_from_it(bench, tmp_path):
    depths = 'recipes = [{ recipe = "layerdrop", set = { depth = [2, 1] } }]'
    untimed = 'threads = 1\nskip = ["latency", "start", "memory", "carbon", "attack"]'
    text = TINY.replace('recipes = ["none", "int8"]', depths).replace("threads = 1", untimed)
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    done = bench("run", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    deep, flat = (record.stages for record in read_records(tmp_path / "results"))
    assert [stage.method for stage in deep] == ["layerdrop", "shrink"]
    assert deep[0].cached
    assert flat[0].cached
    assert deep[0].seconds == flat[0].seconds


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["parent", "child"])
def test_a_killed_run_goes_on_where_it_stopped(bench, tmp_path, victim):
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    process = bench("run", "tiny.toml", cwd=tmp_path, start_only=True)
    deadline = time.monotonic() + 200
    while not records_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    (first,) = records_in(tmp_path)
    written = first.read_bytes()
    if victim == "parent":
        process.kill()
    else:
        while not (children := worker_processes(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(children[0], signal.SIGKILL)
    process.communicate()
    assert records_in(tmp_path) == [first]
    again = bench("run", "tiny.toml", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert len(records_in(tmp_path)) == 2
    assert first.read_bytes() == written
    assert not list(tmp_path.glob("results/**/*.failed.json"))


@pytest.mark.slow
def test_jobs_side_by_side_share_beginnings_and_leave_energy_absent(bench, tmp_path):
    text = TINY.replace('"none", "int8"', '"distillation", "distilled-int8"')
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    done = bench("run", "tiny.toml", "--jobs", "2", "--artifacts", "models", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = {record.recipe: record for record in read_records(tmp_path / "results", "tiny")}
    assert [stage.cached for stage in records["distilled-int8"].stages] == [True, False]
    assert "--jobs" in records["distillation"].absent["compress_energy_kwh"]
    copied = sorted(path.name for path in (tmp_path / "models").iterdir())
    assert [name.split("--")[2] for name in copied] == ["distillation", "distilled-int8"]
    assert all((tmp_path / "models" / name / "model.safetensors").is_file() for name in copied)


def worker_processes(parent: int) -> list[int]:
    """The grandchildren of a run: what its fork server has forked."""
    return [child for server in children_of(parent) for child in children_of(server)]


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@pytest.mark.slow
def test_a_failing_cell_is_noted_and_the_others_go_on(bench, tmp_path):
    text = TINY.replace('"none", "int8"', '"none", "theseus"').replace("epochs = 1", "epochs = 1\nbatch_size = 8")
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    done = bench("run", "tiny.toml", "--set", "theseus.layers=3", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    (note,) = tmp_path.glob("results/tiny/*/*.failed.json")
    failure = json.loads(note.read_text())
    assert failure["phase"] == "compress"
    assert "3" in failure["cause"]
    assert len(records_in(tmp_path)) == 1
    again = bench("run", "tiny.toml", "--set", "theseus.layers=3", cwd=tmp_path)
    assert again.returncode == 1
    assert "--retry" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "dmo"), "Did you mean 'demo'"),
        (("run", "demo", "--task", "sentimnt"), "Did you mean 'sentiment'"),
        (("run", "demo", "--recipe", "magnitude-prunning"), "Did you mean 'magnitude-pruning'"),
        (("run", "demo", "--recipe", "magnitude-pruning", "--set", "sparsity=1.5"), "expected a number below 1"),
        (("run", "demo", "--recipe", "magnitude-pruning", "--set", "sparsty=0.5"), "Did you mean 'sparsity'"),
        (("run", "demo", "--set", "training.epoch=1"), "Did you mean 'epochs'"),
        (("run", "demo", "--set", "nonsense"), "expected KEY=VALUE"),
        (("run", "demo", "--device", "tpu"), "no device named 'tpu'"),
        (("run", "demo", "--model", "./nowhere"), "no such directory"),
        (("run", "demo", "--name", "../x"), "--name: found '../x'"),
        (("run", "demo", "--set", "max_length=200"), "takes at most 128 tokens"),
        (("run", "demo", "--set", "measuring.length=200"), "takes at most 128 tokens"),
        (("run", "glue", "--task", "rte", "--model", "demo-bert", "--data-dir", "nowhere"), "nowhere"),
        (("leaderboard", "demo"), "no records of demo in results yet"),
        (("pareto", "demo", "--x", "flop"), "Did you mean 'flops'"),
        (("table", "--column", "qualty"), "no such folder"),
        (("show", "magnitude-prunin"), "Did you mean 'magnitude-pruning'"),
        (("list", "recipe"), "Did you mean 'recipes'"),
    ],
)
def test_bad_input_is_one_message_and_a_non_zero_exit(command, tmp_path, arguments, message):
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_results_folder_is_refused_before_any_work(command, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    (tmp_path / "results").write_text("a file is in the way", encoding="utf-8")
    done = command("run", "tiny.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def fine_tuned(tmp_path):
    """A folder with the tiny suite and a BERT whose head always says "positive", its output 0, and calls it LABEL_0."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from bench.artifacts.source import open_source
    from bench.models.tokenizer import write_tokenizer
    from bench.tasks.data import load_data

    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    rows = load_data(load_suite("demo").task("sentiment"), data_dir=None).splits["train"]
    tokenizer = open_source("demo-bert").tokenizer(lambda: (text for row in rows for text in row.texts))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([9.0, -9.0]))
    model.half().save_pretrained(tmp_path / "model")
    write_tokenizer(tokenizer, tmp_path / "model")
    return tmp_path


@pytest.mark.slow
def test_a_fine_tuned_head_keeps_its_meaning_and_half_precision_is_no_compression(fine_tuned, bench):
    skip = '--set=measuring.skip=["carbon","attack","decoding","start","memory","latency"]'
    arguments = ("run", "tiny.toml", "--model", "model", skip, "--set=training.learning_rate=1e-30")
    refused = bench(*arguments, cwd=fine_tuned)
    assert refused.returncode == 2
    assert "config.json does not name them" in refused.stderr
    assert "--labels negative,positive" in refused.stderr
    assert not (fine_tuned / "results").exists()
    done = bench(*arguments, "--labels", "positive,negative", cwd=fine_tuned)
    assert done.returncode == 0, done.stderr
    records = {record.recipe: record for record in read_records(fine_tuned / "results")}
    for record in records.values():
        folder = fine_tuned / "results" / "tiny"
        rows = pandas.read_parquet(next(folder.glob(f"*/*--{record.recipe}--*.predictions.parquet")))
        assert all(row.argmax() == 1 for row in rows["artifact"])  # the task's second label is "positive"
        model = record.provenance["model"]
        assert model["outputs"] == ["positive", "negative"]
        assert model["held"]["bytes_by_dtype"] == {"F16": model["held"]["widened_bytes"]}
        given = record.reference["size_bytes"] - model["held"]["widened_bytes"]
        assert record.values["compression"] == given / record.values["size_bytes"]
        assert "given-in-half-precision" in {flag.code for flag in record.warnings}
    assert records["none"].values["compression"] < 0.6
    assert records["int8"].values["compression"] > records["none"].values["compression"]


@pytest.mark.parametrize("labels", ["", "positive", "positive,", ",", "a,,b"])
def test_labels_that_name_no_two_outputs_are_refused(labels, tmp_path, command):
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    refused = command("run", "tiny.toml", "--labels", labels, cwd=tmp_path)
    assert refused.returncode == 2
    assert "expected two or more labels" in refused.stderr
