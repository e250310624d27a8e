import json

import pytest
import torch
from made_graphs import batch, make

from bench.artifacts import artifact
from bench.measures.computation.trace import trace
from bench.measures.timing.calls import lapped
from bench.runtimes.runtime import RUNTIMES, run_by, runtime_of


def test_a_compiled_model_is_ordinary_weights_and_the_name_of_its_runtime(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setenv("CXX", "c++")
    plain, compiled = make(), run_by(make(), "compile")
    artifact.save(plain, tmp_path / "plain", tokenizer=tokenizer)
    artifact.save(compiled, tmp_path / "compiled", tokenizer=tokenizer)
    told, said = (json.loads((tmp_path / name / "layers.json").read_text()) for name in ("plain", "compiled"))
    assert said == {**told, "schema_version": 2, "runtime": "compile"}
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("plain", "compiled")]
    assert weights[0] == weights[1]
    loaded = artifact.load(tmp_path / "compiled").model
    assert runtime_of(loaded) == artifact.runtime_in(tmp_path / "compiled") == "compile"
    assert runtime_of(artifact.load(tmp_path / "plain").model) == "eager"
    assert loaded._compiled_call_impl is not None
    assert RUNTIMES.get("compile")().executed(loaded).precision == "float32"


def test_counting_sees_the_modules_and_laps_see_one_call(monkeypatch):
    monkeypatch.setenv("CXX", "c++")
    compiled = run_by(make(), "compile")
    calls = []
    compiled._compiled_call_impl = lambda **inputs: calls.append(inputs)
    assert trace(compiled, batch(1, 16)).macs == trace(make(), batch(1, 16)).macs
    assert calls == []
    with lapped(compiled, lambda: compiled(**batch(1, 4)), clock=iter(range(99)).__next__, device="cpu") as timed:
        assert len(timed()) == 1
    assert len(calls) == 1


@pytest.mark.slow
def test_a_compiled_model_gives_the_outputs_of_the_plain_one():
    if RUNTIMES.get("compile")().missing():
        pytest.skip("no compiler of C++")
    model = make()
    inputs = batch(2, 9, padded=True)
    with torch.inference_mode():
        told = model(**inputs).logits
        assert torch.allclose(run_by(model, "compile")(**inputs).logits, told, atol=1e-5)
