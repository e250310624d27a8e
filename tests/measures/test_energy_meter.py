"""The energy meter: offline, silent, writing nothing, honest about its power."""

import logging
import socket
import time
from types import SimpleNamespace

import pytest

from bench.measures.energy.meter import EnergyMeter, EnergyReading
from bench.measures.energy.tracker import is_estimate, power_source, prime, processor_tdp, sources_of


@pytest.fixture(scope="module", autouse=True)
def primed():
    prime()


def burn(seconds, meter=None):
    """Work for the seconds, and up to five times as long where a busy machine delays the meter's samples."""
    begun = time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds or (meter and meter.samples < 10 and spent < 5 * seconds):
        sum(range(1000))


def measure(seconds=0.8, *, country="DEU", sample_s=0.05):
    with EnergyMeter(country=country, sample_s=sample_s) as meter:
        burn(seconds, meter if seconds >= 0.5 else None)
    return meter.reading


def test_the_meter_needs_no_network_writes_no_file_and_says_nothing(monkeypatch, tmp_path, capfd):
    def refuse(*_, **__):
        raise AssertionError("the meter reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("CODECARBON_CO2_SIGNAL_API_TOKEN", "a token from a configuration file")
    monkeypatch.chdir(tmp_path)
    reading = measure()
    assert isinstance(reading, EnergyReading)
    assert reading.kwh > 0
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("codecarbon").filters == []


def test_the_grid_is_the_declared_intensity_of_the_country():
    from codecarbon.input import DataSource

    grid = DataSource().get_global_energy_mix_data()
    for country in ("DEU", "NOR"):
        reading = measure(country=country)
        assert reading.grid_kgco2e_per_kwh == pytest.approx(grid[country]["carbon_intensity"] / 1000)
        assert reading.grid_year == grid[country]["year"]


def test_energy_is_mean_power_times_the_window():
    reading = measure(1.0)
    assert 1.0 <= reading.seconds <= 5.1
    assert len(reading.power_w) == reading.samples >= 10
    assert min(reading.power_w) * 0.99 <= reading.kwh * 3.6e6 / reading.seconds <= max(reading.power_w) * 1.01


def test_a_longer_block_takes_more_energy():
    long, short = measure(1.8), measure(0.7)
    assert long.seconds > short.seconds
    assert long.kwh > short.kwh


def test_power_is_counted_over_the_whole_block_and_no_interval_twice(monkeypatch):
    from codecarbon.core.units import Power
    from codecarbon.external.hardware import CPU
    from codecarbon.external.ram import RAM

    monkeypatch.setattr(CPU, "total_power", lambda self: Power.from_watts(36.0))
    monkeypatch.setattr(RAM, "total_power", lambda self: Power.from_watts(0.0))
    reading = measure(1.0)
    assert reading.kwh == pytest.approx(36 * reading.seconds / 3.6e6, rel=0.03)
    assert reading.mean_w == pytest.approx(36, rel=0.03)
    assert reading.parts_kwh == pytest.approx({"processor": reading.kwh, "gpu": 0, "memory": 0})
    assert reading.power_w == pytest.approx([36.0] * reading.samples, rel=0.3)


def test_a_meter_does_not_count_what_an_earlier_one_did():
    long, short = measure(1.6), measure(0.7)
    assert short.kwh < long.kwh


def test_meters_can_run_side_by_side():
    with EnergyMeter(country="DEU", sample_s=0.05) as outer, EnergyMeter(country="NOR", sample_s=0.05) as inner:
        burn(0.8, inner)
    assert outer.reading.grid_kgco2e_per_kwh > inner.reading.grid_kgco2e_per_kwh
    assert outer.reading.seconds > inner.reading.seconds


def test_too_few_samples_are_a_reason():
    assert "at least 10 are needed" in measure(0.1)


def test_a_block_of_unknown_length_is_sampled_fast_at_first_and_then_as_asked():
    with EnergyMeter(country="DEU", sample_s=10.0, hasty=True) as meter:
        deadline = time.perf_counter() + 5
        while meter.samples < 10 and time.perf_counter() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
    assert meter.reading.samples in (10, 11)  # the end of the block is one more


def test_a_counter_that_stands_still_is_a_reason(monkeypatch):
    from codecarbon.core.units import Power
    from codecarbon.external.hardware import CPU

    monkeypatch.setattr(CPU, "total_power", lambda self: Power.from_watts(0.0))
    assert "counted no energy of the processor" in measure()


def test_the_load_of_a_block_is_that_of_this_process_and_of_all():
    reading = measure(0.8)
    load = reading.load
    assert 0.1 < load.own_s <= 1.5 * reading.seconds
    assert load.own_s <= load.busy_s + 0.1  # the kernel counts in ticks of 10 ms
    assert load.busy_s <= load.capacity_s + 1e-9
    assert 0 < load.own_share <= 1
    assert 0 < load.busy_share <= 1


def test_a_processor_that_the_table_lacks_has_no_made_up_tdp(monkeypatch):
    from codecarbon.core import hardware_cache

    for model, watts in (("AMD EPYC 7763 64-Core Processor", 280.0), ("no such processor", None)):
        known = hardware_cache.get_cached_tdp(None)
        processor_tdp.cache_clear()
        monkeypatch.setattr(known, "model", model)
        monkeypatch.setattr("codecarbon.core.util.count_physical_cpus", lambda: 2)
        assert processor_tdp() == (model, watts and 2 * watts)
    processor_tdp.cache_clear()


def test_an_unknown_country_is_a_reason_and_not_the_worlds_average():
    assert "'XYZ'" in measure(0.0, country="XYZ")


def test_a_failed_block_has_no_reading():
    meter = EnergyMeter(country="DEU", sample_s=0.05)
    with pytest.raises(ZeroDivisionError), meter:
        _ = 1 / 0
    assert meter.reading == "the metered code failed"


def test_codecarbons_own_configuration_changes_nothing(monkeypatch):
    plain = measure()
    for key, value in (("PUE", "9"), ("FORCE_CPU_POWER", "9000"), ("FORCE_CARBON_INTENSITY_G_CO2E_KWH", "1")):
        monkeypatch.setenv(f"CODECARBON_{key}", value)
    other = measure()
    assert other.grid_kgco2e_per_kwh == pytest.approx(plain.grid_kgco2e_per_kwh)
    assert other.kwh < 4 * plain.kwh


def test_a_fault_inside_codecarbon_is_the_reason(monkeypatch):
    from codecarbon.emissions_tracker import BaseEmissionsTracker

    def broken(self):
        raise OSError("no sensor answers")

    monkeypatch.setattr(BaseEmissionsTracker, "_ensure_hardware_ready", broken)
    assert measure(0.0) == "CodeCarbon gave no reading: OSError: no sensor answers"


def test_a_primed_meter_costs_little_beside_its_block():
    started = time.perf_counter()
    reading = measure(0.8)
    assert time.perf_counter() - started - reading.seconds < 0.5


def part(kind, **fields):
    return type(kind, (SimpleNamespace,), {})(**fields)


@pytest.mark.parametrize(
    ("hardware", "source", "estimated"),
    [
        ([part("CPU", _mode="intel_rapl"), part("RAM")], "rapl", False),
        ([part("CPU", _mode="cpu_load"), part("RAM")], "load model", True),
        ([part("CPU", _mode="constant"), part("RAM")], "constant", True),
        ([part("RAM"), part("CPU", _mode="new")], "unknown", True),
        ([part("RAM")], "unknown", True),
        ([], "unknown", True),
        (
            [part("CPU", _mode="intel_rapl"), part("GPU", devices=SimpleNamespace(devices=[part("NvidiaGPUDevice")]))],
            "rapl + nvml",
            False,
        ),
        (
            [part("CPU", _mode="cpu_load"), part("GPU", devices=SimpleNamespace(devices=[part("NvidiaGPUDevice")]))],
            "load model + nvml",
            True,
        ),
        (
            [
                part("CPU", _mode="intel_rapl"),
                part(
                    "GPU",
                    devices=SimpleNamespace(
                        devices=[part("NvidiaGPUDevice", last_energy=None, _read_power_watts=lambda: None)]
                    ),
                ),
            ],
            "rapl + unknown",
            True,
        ),
        (
            [part("AppleSiliconChip", chip_part="CPU"), part("AppleSiliconChip", chip_part="GPU")],
            "powermetrics",
            True,
        ),
    ],
)
def test_the_source_of_the_power_is_named(hardware, source, estimated):
    found = power_source(sources_of(hardware))
    assert (found, is_estimate(found)) == (source, estimated)
