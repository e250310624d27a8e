"""Peak memory in a process of its own."""

import dataclasses
from pathlib import Path

import pytest
from made_pairs import make_pair, make_task, missing

from bench.measures.memory import Memory, Peak, ResidentMark
from bench.processes import Child, wait_for
from bench.suite import Measuring

MEMORY = Memory()
MIB = 2**20
MEASURING = Measuring(country="USA", threads=1, batch_size=8, length=64)
OPTIONS = {"device": "cpu", "threads": 1, "batch_size": 1, "length": 16}
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark")


def fill(size):
    """Bytes that are really touched."""
    return bytearray(b"x") * size


@linux
def test_the_mark_is_the_highest_point_and_not_the_present():
    fill(64 * MIB)
    mark = ResidentMark()
    assert mark.rise() < 8 * MIB  # what was there and gone before does not count
    fill(48 * MIB)
    assert 40 * MIB < mark.rise() < 60 * MIB
    small = fill(8 * MIB)
    assert 40 * MIB < mark.rise() < 60 * MIB
    del small


def test_both_models_peaks_become_the_columns():
    reading = MEMORY.combine(Peak(10, 20, 5, "VmHWM"), Peak(30, 40, 5, "VmHWM"))
    assert reading.values == {"memory_load_bytes": 10, "memory_peak_bytes": 20}
    assert reading.reference == {"memory_load_bytes": 30, "memory_peak_bytes": 40}
    assert reading.conditions["how"] == "VmHWM"


def test_a_peak_that_could_not_be_had_leaves_its_reason():
    reading = MEMORY.combine("killed", Peak(30, 40, 5, "VmHWM"))
    assert set(reading.absent.values()) == {"killed"}
    assert missing(MEMORY, reading) == []
    reading = MEMORY.combine(Peak(10, 20, 5, "VmHWM"), "killed")
    assert reading.reference == {}
    assert reading.values["memory_peak_bytes"] == 20


def probe(directory, report):
    """What a run's probing child does."""
    return MEMORY.probe(directory, device="cpu", measuring=MEASURING)


def apart(directory, log):
    child = Child(probe, directory, log=log)
    while (outcome := child.poll(lambda *event: None)) is None:
        wait_for([child])
    return outcome.result


@linux
@pytest.mark.slow
def test_loading_adds_the_weights_and_calling_adds_to_that(tmp_path, tokenizer):
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from bench.artifact import save, size_bytes

    config = BertConfig(
        vocab_size=100, hidden_size=512, num_hidden_layers=4, num_attention_heads=4, intermediate_size=2048
    )
    with torch.random.fork_rng():
        model = BertForSequenceClassification(config).eval()
    save(model, tmp_path / "artifact", tokenizer=tokenizer, made={})
    peak = apart(tmp_path / "artifact", tmp_path / "log")
    pair = make_pair(make_task(), None, is_reference=True, batch_size=8, length=64)
    reading = MEMORY.read(dataclasses.replace(pair, apart={"memory": (peak, peak)}))
    weights = size_bytes(tmp_path / "artifact")
    assert weights > 45 * MIB
    assert weights < reading.values["memory_load_bytes"] < 1.5 * weights
    activations = 8 * 64 * 2048 * 4  # the feed-forward layer's output, alive beside its input
    assert reading.values["memory_peak_bytes"] > weights + activations
    assert reading.values["memory_peak_bytes"] >= reading.values["memory_load_bytes"]
    assert reading.reference == reading.values


def test_an_artifact_that_cannot_be_loaded_is_a_reason(tmp_path):
    from bench.errors import ArtifactError
    from bench.measures.memory import peak_of

    with pytest.raises(ArtifactError, match="not an artifact"):
        peak_of(tmp_path / "nothing", **OPTIONS)
