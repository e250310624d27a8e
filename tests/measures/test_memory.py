"""Peak memory of loading and of inference, each in a process of its own."""

import dataclasses
from pathlib import Path

import pytest
from made_pairs import make_pair, make_task, missing

from bench.engine.processes import Child, wait_for
from bench.measures.memory.high_water import DeviceMark, ResidentMark
from bench.measures.memory.memory import Memory, Peak
from bench.spec.setting import Measuring
from bench.tasks.kinds.kind import KINDS

MEMORY = Memory()
ENDS = [f"memory_{part}_bytes_{end}" for part in ("inference", "peak") for end in ("low", "high")]
MIB = 2**20
MEASURING = Measuring(country="USA", processes=2, threads=1, batch_size=8, length=64)
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


@linux
def test_a_mark_set_back_forgets_its_peak_and_keeps_its_baseline():
    mark = ResidentMark()
    kept = fill(32 * MIB)
    fill(64 * MIB)
    assert mark.rise() > 80 * MIB
    mark.set_back()
    assert 28 * MIB < mark.rise() < 44 * MIB
    assert len(kept) == 32 * MIB


def peaks(load, inference, device=None):
    made = {"load": (load, device and 1), "process-0": (inference, device)}
    return {
        name: found if isinstance(found, str) else Peak(found, on_device, 5, "VmHWM")
        for name, (found, on_device) in made.items()
    }


def test_memory_of_inference_has_the_t_interval_over_processes():
    several = {
        **peaks(100, 0),
        **{f"process-{index}": Peak(each, None, 5, "VmHWM") for index, each in enumerate([90, 100, 110])},
    }
    reading = MEMORY.combine(several, peaks(30, 40))
    half = 4.302653 * 10 / 3**0.5  # Student's t with two degrees of freedom
    assert reading.values["memory_inference_bytes"] == 100
    assert reading.values["memory_inference_bytes_low"] == round(100 - half)
    assert reading.values["memory_inference_bytes_high"] == round(100 + half)
    assert reading.values["memory_peak_bytes"] == round((100 + 100 + 110) / 3)
    assert reading.values["memory_peak_bytes_low"] < 100 < reading.values["memory_peak_bytes_high"]
    assert reading.samples["memory_inference_bytes"] == [90, 100, 110]
    assert missing(MEMORY, reading) == []


@pytest.mark.parametrize(("load", "inference"), [(10, 20), (20, 10)])
def test_the_peak_is_the_larger_of_loading_and_inference(load, inference):
    reading = MEMORY.combine(peaks(load, inference), peaks(30, 40))
    assert set(reading.absent) == {"memory_device_bytes", *ENDS}
    assert reading.values == {
        "memory_load_bytes": load,
        "memory_inference_bytes": inference,
        "memory_peak_bytes": 20,
    }
    assert reading.reference["memory_peak_bytes"] == 40
    assert reading.conditions["load"]["how"] == reading.conditions["inference"]["how"] == "VmHWM"


def test_the_host_has_no_device_memory_and_says_so():
    reading = MEMORY.combine(peaks(10, 20), peaks(30, 40))
    assert set(reading.absent) == {"memory_device_bytes", *ENDS}
    assert "no device memory" in reading.absent["memory_device_bytes"]
    assert missing(MEMORY, reading) == []


def test_on_a_device_the_hosts_peak_stands_beside_it():
    reading = MEMORY.combine(peaks(10, 20, device=7), peaks(30, 40, device=9))
    assert reading.values["memory_device_bytes"] == 7
    assert reading.reference["memory_device_bytes"] == 9
    assert reading.values["memory_inference_bytes"] == 20
    assert reading.conditions["inference"]["device_bytes"] == 7
    assert missing(MEMORY, reading) == []


def test_a_probe_that_failed_leaves_its_reason_and_what_the_other_found():
    reading = MEMORY.combine(peaks(10, "killed"), peaks(30, 40))
    assert reading.values == {"memory_load_bytes": 10}
    assert set(reading.absent.values()) == {"killed"}
    assert missing(MEMORY, reading) == []
    reading = MEMORY.combine(peaks(10, 20), peaks("killed", 40))
    assert reading.reference == {"memory_inference_bytes": 40}
    assert reading.values["memory_peak_bytes"] == 20


def probe(given, report):
    """What a run's probing child does."""
    name, directory = given
    return MEMORY.probe(name, (directory,), device="cpu", measuring=MEASURING)


def both_probes(directory, log):
    """The peaks by name, one fresh process each."""
    found = {}
    for name in MEMORY.probes(MEASURING, KINDS.get("classification")):
        child = Child(probe, (name, directory), log=log)
        while (outcome := child.poll(lambda *event: None)) is None:
            wait_for([child])
        assert outcome.cause is None
        found[name] = outcome.result
    return found


def saved(folder, tokenizer, **sizes):
    """An artifact of a BERT of the given sizes with made weights, none of them zero; gives its bytes."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from bench.artifacts.artifact import save, size_bytes

    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig(num_attention_heads=4, **sizes)).eval()
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.01)
        for name, buffer in model.named_buffers():
            buffer.zero_() if name.endswith("token_type_ids") else buffer.copy_(torch.arange(buffer.numel())[None])
    save(model, folder, tokenizer=tokenizer)
    return size_bytes(folder)


@linux
@pytest.mark.slow
def test_loading_holds_no_tensor_twice(tmp_path, tokenizer):
    sizes = {"vocab_size": 60_000, "hidden_size": 256, "num_hidden_layers": 1, "intermediate_size": 512}
    stored = saved(tmp_path / "a", tokenizer, **sizes)  # nearly all of it one embedding table
    assert stored > 60 * MIB
    assert stored < both_probes(tmp_path / "a", tmp_path / "log")["load"].host_bytes < 1.15 * stored


@linux
@pytest.mark.slow
def test_inference_holds_the_weights_and_its_activations(tmp_path, tokenizer):
    sizes = {"vocab_size": 100, "hidden_size": 512, "num_hidden_layers": 4, "intermediate_size": 2048}
    stored = saved(tmp_path / "a", tokenizer, **sizes)
    found = both_probes(tmp_path / "a", tmp_path / "log")
    pair = make_pair(make_task(), None, is_reference=True, batch_size=8, length=64)
    both = {name: (peak, peak) for name, peak in found.items()}
    reading = MEMORY.read(dataclasses.replace(pair, apart={"memory": both}))
    activations = 8 * 64 * 2048 * 4  # the feed-forward layer's output, alive beside its input
    assert stored > 45 * MIB
    assert stored < reading.values["memory_load_bytes"] < 1.2 * stored
    assert stored + activations < reading.values["memory_inference_bytes"] < 1.2 * stored + 8 * activations
    assert reading.reference == reading.values
    assert reading.conditions["batch_size"] == 8


@pytest.mark.cuda
def test_device_memory_is_the_weights_and_the_activations(tmp_path, tokenizer):
    import torch

    from bench.measures.memory.memory import inference_peak

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    sizes = {"vocab_size": 100, "hidden_size": 512, "num_hidden_layers": 4, "intermediate_size": 2048}
    stored = saved(tmp_path / "a", tokenizer, **sizes)
    peak = inference_peak(tmp_path / "a", device="cuda", threads=1, batch_size=8, length=64)
    activations = 8 * 64 * 2048 * 4
    assert stored + activations < peak.device_bytes < 1.2 * stored + 16 * activations


def test_device_memory_is_the_allocators_highest_point_over_the_baseline(monkeypatch):
    import torch

    seen = {"allocated": 100, "highest": 900}
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: seen.update(highest=seen["allocated"]))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: seen["allocated"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: seen["highest"])
    mark = DeviceMark("cuda")
    assert mark.rise() == 0
    seen.update(allocated=300, highest=800)
    assert mark.rise() == 700
    mark.set_back()
    assert mark.rise() == 200


def test_an_artifact_that_cannot_be_loaded_is_a_reason(tmp_path):
    from bench.base.errors import ArtifactError
    from bench.measures.memory.memory import inference_peak, load_peak

    with pytest.raises(ArtifactError, match="not an artifact"):
        load_peak(tmp_path / "nothing", device="cpu", threads=1)
    with pytest.raises(ArtifactError, match="not an artifact"):
        inference_peak(tmp_path / "nothing", device="cpu", threads=1, batch_size=1, length=16)
