from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.base.statistics import Interval
from bench.doctor import noise
from bench.measures.timing.pairs import SpeedUp


def judged(monkeypatch, ratio, invalid=None):
    result = SpeedUp(Interval(*ratio), 0.01, 0.01, 1.05, 70, 3, invalid)
    monkeypatch.setattr(noise, "time_steadily", lambda *_, **__: SimpleNamespace(result=result))
    return noise.noise(threads=1, seconds=0.1, patience_s=0.1)


def test_a_floor_around_one_is_sound(monkeypatch):
    found = judged(monkeypatch, (1.002, 0.991, 1.011))
    assert found.level == "ok"
    assert found.found.startswith(
        "1.002 [0.991, 1.011] for a model against itself, 70 pairs, 3 dropped, 1 thread, 10.0"
    )


@pytest.mark.parametrize("ratio", [(1.08, 1.05, 1.11), (0.93, 0.9, 0.96)])
def test_a_floor_that_misses_one_is_a_problem(monkeypatch, ratio):
    assert judged(monkeypatch, ratio).level == "problem"


def test_a_machine_that_never_settles_is_a_problem(monkeypatch):
    found = judged(monkeypatch, (1.0, 0.9, 1.1), invalid="the timing never became stable")
    assert (found.level, "never became stable" in found.found) == ("problem", True)


@pytest.mark.slow
def test_a_real_model_beside_itself_is_timed():
    found = noise.noise(threads=1, seconds=0.1, patience_s=0.1)
    assert "for a model against itself" in found.found
