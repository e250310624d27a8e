from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.artifacts import artifact
from bench.measures.timing import start
from bench.measures.timing.start import Began, Start
from bench.spec.setting import Measuring


def test_loading_and_the_first_call_are_timed_apart(monkeypatch):
    now = [0.0]
    calls = iter([2.0, 0.5, 0.25, 0.25, 0.25, 0.25])

    def load(directory, device):
        now[0] += 3.0
        return SimpleNamespace(model=lambda **_: now.__setitem__(0, now[0] + next(calls)), tokenizer=None)

    monkeypatch.setattr(artifact, "load", load)
    monkeypatch.setattr(start, "made_inputs", lambda *_, **__: {})
    monkeypatch.setattr(start.time, "perf_counter", lambda: now[0])
    found = Start().probe("start", ("folder",), device="cpu", measuring=Measuring(country="DEU", threads=1))
    assert found == (3.0, 2.0, 0.25)


def test_both_models_starts_become_the_columns_and_a_slow_first_call_is_flagged():
    reading = Start().combine(Began(0.5, 4.0, 0.25), Began(0.75, 0.5, 0.25))
    assert reading.values == {"load_s": 0.5, "first_call_s": 4.0}
    assert reading.reference == {"load_s": 0.75, "first_call_s": 0.5}
    assert [code for code, _ in reading.warnings] == ["slow-start"]
    assert Start().combine(Began(0.5, 0.5, 0.25), Began(1, 1, 1)).warnings == []


def test_a_start_that_could_not_be_had_leaves_its_reason():
    reading = Start().combine("no such file", Began(1, 1, 1))
    assert reading.absent == {"load_s": "no such file", "first_call_s": "no such file"}
    assert Start().combine(Began(1, 1, 1), "no such file").reference == {}


@pytest.mark.slow
def test_a_real_artifact_is_loaded_and_called(tiny_bert, tokenizer, tmp_path):
    artifact.save(tiny_bert(), tmp_path / "artifact", tokenizer=tokenizer)
    measuring = Measuring(country="DEU", threads=1, length=8)
    found = Start().probe("start", (tmp_path / "artifact",), device="cpu", measuring=measuring)
    assert 0 < found.later_call_s <= found.load_s < 60
