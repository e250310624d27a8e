from __future__ import annotations

import pytest

from bench.doctor import machine
from bench.measures.timing import watch


def test_a_virtual_machine_and_its_missing_governor_are_named(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name : Made CPU\nflags : fpu avx2 hypervisor\n")
    found = {finding.topic: finding for finding in machine.processor(cpuinfo, tmp_path / "none")}
    assert "in a virtual machine" in found["processor"].found
    assert found["neighbours"].level == found["governor"].level == "note"
    assert "without VNNI" in found["int8"].found


def test_a_governor_that_follows_the_load_is_a_note_and_performance_is_not(tmp_path):
    cpuinfo, governor = tmp_path / "cpuinfo", tmp_path / "governor"
    cpuinfo.write_text("flags : avx2 avx512_vnni\n")
    levels = []
    for name in ("powersave", "performance"):
        governor.write_text(f"{name}\n")
        found = {finding.topic: finding for finding in machine.processor(cpuinfo, governor)}
        levels.append(found["governor"].level)
    assert levels == ["note", "ok"]
    assert "with VNNI" in found["int8"].found
    assert "neighbours" not in found


def test_the_timer_is_fine_enough_here_and_a_coarse_one_is_a_problem(monkeypatch):
    assert machine.timer().level == "ok"
    ticks = iter(range(10**6))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(ticks) // 3 / 100)
    assert machine.timer().level == "problem"


@pytest.mark.parametrize(("steal", "other", "levels"), [(0.0, 0.0, ["ok", "ok"]), (0.2, 0.5, ["note", "problem"])])
def test_steal_and_other_programs_are_judged(monkeypatch, steal, other, levels):
    seen = watch.Seen(seconds=1, steal=steal, other=other, switches_per_s=None, frequency_change=None, throttled=None)
    monkeypatch.setattr(machine, "LOOK_S", 0.0)
    monkeypatch.setattr(machine.Watch, "__exit__", lambda self, *_: setattr(self, "seen", seen))
    assert [finding.level for finding in machine.load()] == levels


def test_a_mark_that_cannot_be_set_back_makes_peaks_upper_bounds(tmp_path):
    assert "upper bounds" in machine.memory(tmp_path / "none").found
