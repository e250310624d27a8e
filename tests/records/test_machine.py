"""Machines are told apart by all that decides how fast products are."""

from __future__ import annotations

import pytest

from bench.records import machine

INFO = """processor\t: 0
model name\t: AMD EPYC
cpu family\t: {family}
model\t\t: 2
stepping\t: 1
flags\t\t: fpu avx2 {more}

processor\t: 1
model name\t: another
"""


def described(monkeypatch, tmp_path, family=25, more="avx512f"):
    path = tmp_path / "cpuinfo"
    path.write_text(INFO.format(family=family, more=more), encoding="utf-8")
    read = machine._cpuinfo
    monkeypatch.setattr(machine, "_cpuinfo", lambda _: read(path))
    found = machine.describe_machine("cpu")
    monkeypatch.setattr(machine, "_cpuinfo", read)
    return found


@pytest.mark.parametrize("other", [{"family": 26}, {"more": "avx512f avx512_vnni"}])
def test_processors_of_one_name_are_told_apart_by_generation_and_instructions(monkeypatch, tmp_path, other):
    one, two = described(monkeypatch, tmp_path), described(monkeypatch, tmp_path, **other)
    assert one["processor"] == two["processor"] == "AMD EPYC"
    assert machine.machine_id(one) != machine.machine_id(two)
    assert machine.machine_id(one) == machine.machine_id(described(monkeypatch, tmp_path))


def test_only_instructions_that_decide_speed_are_kept(monkeypatch, tmp_path):
    found = described(monkeypatch, tmp_path, more="avx512_vnni avx512f tsc")
    assert found["instructions"] == ["avx2", "avx512_vnni", "avx512f"]
    assert found["generation"] == "cpu family 25, model 2, stepping 1"


def test_variables_that_forbid_instructions_make_another_machine(monkeypatch, tmp_path):
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    free = described(monkeypatch, tmp_path)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    bound = described(monkeypatch, tmp_path)
    assert bound["limits"]["ATEN_CPU_CAPABILITY"] == "avx2"
    assert machine.machine_id(free) != machine.machine_id(bound)


def test_a_system_that_tells_nothing_of_its_processor_has_its_architecture(monkeypatch, tmp_path):
    assert machine._cpuinfo(tmp_path / "nothing") == {}
    monkeypatch.setattr(machine, "_cpuinfo", lambda _: {})
    found = machine.describe_machine("cpu")
    assert found["processor"]
    assert "generation" not in found
    assert "instructions" not in found
