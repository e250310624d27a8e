"""Where power would be read from, and why not from a better source."""

import os
import threading
import time

import pytest

from bench.measures.energy import windows as evidence
from bench.measures.energy.meter import EnergyMeter
from bench.measures.energy.windows import power_evidence, rapl_access


@pytest.fixture
def powercap(tmp_path, monkeypatch):
    """A powercap folder with one package and a part of it, and the file of its energy."""
    monkeypatch.setattr(evidence.platform, "system", lambda: "Linux")
    for name in ("intel-rapl:0", "intel-rapl:0:0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text("1000")
    return tmp_path


def access(powercap, flags=""):
    cpuinfo = powercap / "cpuinfo"
    cpuinfo.write_text(f"flags : fpu {flags}\n")
    return rapl_access(powercap, cpuinfo=cpuinfo)


def test_a_machine_without_counters_says_so_and_a_virtual_one_why(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence.platform, "system", lambda: "Linux")
    assert "no RAPL counter" in access(tmp_path).why
    assert "modprobe" in access(tmp_path).advice
    assert "virtual machine" in access(tmp_path, "hypervisor").why
    assert "bare metal" in access(tmp_path, "hypervisor").advice


def test_a_counter_for_root_only_is_named_with_what_to_do(powercap, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = access(powercap)
    assert not found.readable
    assert "intel-rapl:0/energy_uj is readable by root only" in found.why
    assert "chmod" in found.advice


def test_a_counter_that_stands_still_is_not_readable(powercap):
    assert "does not change" in access(powercap).why


def test_a_counter_that_moves_is_readable(powercap):
    def move():
        while not ended.wait(0.003):
            (powercap / "intel-rapl:0" / "energy_uj").write_text(str(time.perf_counter_ns()))

    ended = threading.Event()
    mover = threading.Thread(target=move)
    mover.start()
    try:
        assert access(powercap) == (True, "", "")
    finally:
        ended.set()
        mover.join()


def test_another_system_than_linux_has_no_rapl(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence.platform, "system", lambda: "Darwin")
    assert "Darwin" in access(tmp_path).why


def test_every_part_has_a_source_and_an_estimate_has_a_reason_and_advice(capfd):
    found = {item.part: item for item in power_evidence()}
    assert list(found) == ["processor", "gpu", "memory"]
    for item in found.values():
        assert item.source
        assert item.measured == (item.why == "") == (item.advice == "")
    assert capfd.readouterr() == ("", "")


def test_the_evidence_is_what_the_meter_then_uses():
    said = {item.part: item.source for item in power_evidence() if item.source != "none"}
    with EnergyMeter(country="DEU", sample_s=0.05) as meter:
        while meter.samples < 10:
            time.sleep(0.02)
    assert meter.reading.sources == said


@pytest.mark.parametrize(
    ("sources", "part", "measured", "words"),
    [
        ({"processor": "load model", "memory": "constant"}, "processor", False, "no RAPL counter"),
        ({"processor": "rapl", "memory": "constant"}, "processor", False, "no RAPL counter"),
        ({"processor": "rapl", "gpu": "nvml"}, "gpu", True, ""),
        ({"processor": "rapl", "gpu": "unknown"}, "gpu", False, "neither energy nor power"),
        ({"processor": "rapl"}, "memory", False, "assumes a constant power"),
    ],
)
def test_a_source_is_taken_as_measured_only_where_it_can_be(sources, part, measured, words, monkeypatch, tmp_path):
    monkeypatch.setattr(evidence.platform, "system", lambda: "Linux")
    monkeypatch.setattr(evidence, "hardware_sources", lambda: sources)
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : fpu")
    found = {item.part: item for item in power_evidence(powercap=tmp_path, cpuinfo=cpuinfo)}
    assert found[part].measured is measured
    assert words in found[part].why


def test_a_machine_without_a_driver_has_no_gpu_to_measure(tmp_path, monkeypatch):
    import pynvml

    def refuse():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    driver = tmp_path / "version"
    assert "no NVIDIA driver" in evidence.nvidia_access(driver).why
    driver.write_text("NVRM version")
    assert "NVML cannot be used" in evidence.nvidia_access(driver).why
