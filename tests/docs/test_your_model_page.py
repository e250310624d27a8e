"""The commands of docs/your-model.md, run in their order in a folder that holds what they name."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import sys
import warnings
from pathlib import Path

import pytest
import torch
from made_checkpoints import write_checkpoint

from bench.cli import main
from bench.records.record import read_record

PAGE = Path(__file__).parents[2] / "docs" / "your-model.md"
SKIPPED = ["latency", "start", "carbon", "memory", "decoding", "attack"]
QUICK = f"--set=measuring.skip={json.dumps(SKIPPED)}"


def export(checkpoint, folder):
    """A graph that torch makes of a checkpoint, with its configuration and tokenizer beside it."""
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
    model.config.return_dict = False
    ids = torch.arange(18).view(2, 9)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("length", max=128)}
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about its own ways
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(folder / "model.onnx"),
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(names, axes),
        )
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((Path(checkpoint) / name).read_bytes())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the page's models and its function are."""
    write_checkpoint(tmp_path / "my-teacher", num_hidden_layers=2)
    write_checkpoint(tmp_path / "my-student", num_hidden_layers=1)
    (function,) = (block for block in blocks("python") if block.startswith("# my_functions.py"))
    (tmp_path / "my_functions.py").write_text(function, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", "1")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_functions", None)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def call(line, monkeypatch):
    """Run one command of the page, without what takes long to measure; its exit status and what it printed."""
    words = shlex.split(line, comments=True)
    words += [QUICK] if words[1] in ("run", "score") else []
    printed, status = io.StringIO(), 0
    monkeypatch.setattr(sys, "argv", words)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
    return status, printed.getvalue()


def ran(folder):
    """Every record in the folder, by what it calls the system."""
    return {record.recipe: record for record in map(read_record, folder.glob("results/demo/*/*--*.json"))}


def commands(*, of_graphs):
    return [line for line in "".join(blocks("sh")).splitlines() if ("my-graph" in line) == of_graphs]


@pytest.mark.slow
def test_every_command_of_the_page_gives_its_row(folder, monkeypatch):
    for line in commands(of_graphs=False):
        status, printed = call(line, monkeypatch)
        assert status == 0, printed
        if line.startswith("bench leaderboard"):
            assert re.search(r"\bmy-student\b", printed)
            assert re.search(r"\bnone\b", printed)
    (block,) = (block for block in blocks("python") if "bench.score" in block)
    quick = f'reference="my-teacher", progress=False, set={{"measuring.skip": {SKIPPED}}})'
    names = {}
    exec(block.replace('reference="my-teacher")', quick), names)
    assert names["results"].records[0].recipe == "my-artifact"
    records = ran(folder)
    forms = {name: record.provenance.get("system", {}).get("form") for name, record in records.items()}
    assert forms == {
        "none": None,
        "my-student": "checkpoint",
        "my_functions:classify": "function",
        "my-artifact": "artifact",
    }
    assert records["my-student"].values["accuracy"] == records["my-artifact"].values["accuracy"]
    assert {record.model for record in records.values()} == {"my-teacher"}


@pytest.mark.slow
def test_the_graph_of_the_page_has_the_score_of_the_model_that_it_was_made_from(folder, monkeypatch):
    pytest.importorskip("onnxruntime", reason="graphs of ONNX need onnxruntime")
    pytest.importorskip("onnxscript", reason="torch exports to ONNX with onnxscript")
    export("my-student", folder / "my-graph")
    (line,) = commands(of_graphs=True)
    for each in (line, line.replace("my-graph", "my-student")):
        status, printed = call(each, monkeypatch)
        assert status == 0, printed
    records = ran(folder)
    assert records["my-graph"].provenance["system"]["form"] == "onnxruntime"
    assert records["my-graph"].values["accuracy"] == records["my-student"].values["accuracy"]
    assert records["my-graph"].values["macs"] == pytest.approx(records["my-student"].values["macs"], rel=0.02)
