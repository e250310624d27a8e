"""What a worker notes of the energy of its training and compressing."""

from types import SimpleNamespace

import pytest

from bench.artifacts.manifest import EnergySpent
from bench.engine.worker import _energy
from bench.measures.energy.meter import Load


def noted(kwh=2.0, source="rapl"):
    return EnergySpent(kwh=kwh, power_source=source, samples=12)


def test_the_meters_reading_is_noted_with_its_source():
    load = Load(9.0, 9.5, 20.0)
    meter = SimpleNamespace(reading=SimpleNamespace(kwh=2.0, power_source="rapl", samples=12, load=load))
    assert _energy(meter, alone=True) == noted()
    assert _energy(SimpleNamespace(reading="3 samples"), alone=True) == EnergySpent(absent="3 samples")


def test_energy_beside_other_programs_is_absent_with_its_reason():
    load = Load(9.0, 19.0, 20.0)
    meter = SimpleNamespace(reading=SimpleNamespace(kwh=2.0, power_source="rapl", samples=12, load=load))
    absent = _energy(meter, alone=True)
    assert (absent.kwh, absent.power_source, absent.samples) == (None, None, None)
    assert "other programs used 50% of its processor time" in absent.absent


def test_energy_beside_other_work_is_absent_with_its_reason():
    load = Load(9.0, 9.5, 20.0)
    meter = SimpleNamespace(reading=SimpleNamespace(kwh=2.0, power_source="rapl", samples=12, load=load))
    assert "--jobs" in _energy(meter, alone=False).absent


@pytest.mark.parametrize(
    ("earlier", "mine", "source"),
    [
        (None, "rapl", "rapl"),
        ("rapl", "rapl", "rapl"),
        ("load model", "rapl", "load model + rapl"),
        ("rapl + nvml", "load model + nvml", "rapl + nvml + load model"),
    ],
)
def test_energy_of_stages_done_before_is_added_and_its_source_named(earlier, mine, source):
    total = noted(2.0, mine).after(EnergySpent(kwh=0.5, power_source=earlier))
    assert (total.kwh, total.power_source) == (2.5, source)


def test_energy_is_absent_as_soon_as_that_of_one_stage_is():
    three, four = EnergySpent(absent="3 samples"), EnergySpent(absent="4 samples")
    assert noted().after(three) == three
    assert four.after(noted()) == four
