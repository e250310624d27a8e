"""What windows say of 1,000 inferences."""

import math
import statistics

import pytest
from made_energy import make_reading
from made_pairs import make_setting

from bench.measures.energy import inference as module
from bench.measures.energy.inference import break_even, inference
from bench.measures.energy.meter import Load
from bench.measures.energy.tracker import Tdp
from bench.measures.energy.windows import Window

T_OF_2 = 4.302652729911275  # 97.5th percentile of Student's t with two degrees of freedom, from printed tables


def read(*watts, idle_w=40.0, inferences=1000, device="cpu", reading=None, **setting):
    windows = {index: Window(make_reading(value, **(reading or {})), inferences) for index, value in enumerate(watts)}
    return inference(windows, idle_w=idle_w, measuring=make_setting(**setting).measuring, device=device)


def test_the_interval_over_windows_is_the_t_interval_by_hand():
    found = read(90.0, 100.0, 110.0)
    kwh = [0.0009, 0.001, 0.0011]
    half = T_OF_2 * statistics.stdev(kwh) / math.sqrt(3)
    assert found.values["energy_kwh"] == pytest.approx(0.001)
    assert found.values["energy_kwh_low"] == pytest.approx(0.001 - half)
    assert found.values["energy_kwh_high"] == pytest.approx(0.001 + half)


def test_one_window_has_no_interval_and_windows_far_apart_have_none_either():
    for found, words in ((read(100.0), "two windows"), (read(10.0, 100.0), "differ too much")):
        assert words in found.absent["energy_kwh_low"]
        assert words in found.absent["energy_kwh_high"]
        assert "energy_kwh_low" not in found.values


def test_net_energy_is_gross_energy_less_idle_power_times_time():
    found = read(100.0, 120.0, idle_w=40.0)
    assert found.values["energy_kwh"] == pytest.approx(0.0011)
    assert found.values["energy_net_kwh"] == pytest.approx(0.0011 - 40 * 36 / 3.6e6)
    assert found.values["power_w"] == pytest.approx(110.0)
    assert found.values["power_idle_w"] == 40.0


def test_net_energy_is_absent_where_idling_draws_as_much_or_is_not_known():
    assert "no more power than idling" in read(100.0, idle_w=100.0).absent["energy_net_kwh"]
    assert read(100.0, idle_w=100.0).values["power_idle_w"] == 100.0
    unknown = read(100.0, idle_w="the machine was not idle")
    assert unknown.absent["energy_net_kwh"] == unknown.absent["power_idle_w"] == "the machine was not idle"


def test_pue_is_in_emissions_and_water_and_not_in_energy():
    plain, more = read(100.0, wue_l_per_kwh=1.8), read(100.0, wue_l_per_kwh=1.8, pue=1.5)
    assert more.values["energy_kwh"] == plain.values["energy_kwh"] == pytest.approx(0.001)
    assert plain.values["emissions_kgco2e"] == pytest.approx(0.001 * 0.5)
    assert more.values["emissions_kgco2e"] == pytest.approx(0.001 * 0.5 * 1.5)
    assert more.values["water_l"] == pytest.approx(0.001 * 1.5 * 1.8)
    assert (more.conditions["pue"], more.conditions["wue_l_per_kwh"]) == (1.5, 1.8)


def test_water_is_absent_where_the_setting_states_no_wue():
    assert "wue_l_per_kwh" in read(100.0).absent["water_l"]
    assert read(100.0, wue_l_per_kwh=0).values["water_l"] == 0


def test_lacostes_sum_uses_the_stated_power_and_no_sensor():
    for watts in (10.0, 100.0):
        found = read(watts, inferences=500, hardware_power_w=250, carbon_offset=0.2)
        assert found.values["emissions_lacoste_kgco2e"] == pytest.approx(0.25 * 72 / 3600 * 0.5 * 0.8)
    assert "setting" in found.conditions["lacoste_power_source"]


def test_lacostes_sum_looks_the_processor_up_and_is_absent_where_nobody_knows_it(monkeypatch):
    monkeypatch.setattr(module, "processor_tdp", lambda: Tdp("made", 280.0))
    found = read(100.0)
    assert found.values["emissions_lacoste_kgco2e"] == pytest.approx(0.28 * 36 / 3600 * 0.5)
    assert found.conditions["hardware_power_w"] == 280.0
    assert "hardware_power_w" in read(100.0, device="cuda:0").absent["emissions_lacoste_kgco2e"]
    monkeypatch.setattr(module, "processor_tdp", lambda: Tdp("made", None))
    assert "no processor 'made'" in read(100.0).absent["emissions_lacoste_kgco2e"]


def test_the_impact_tracker_counts_this_processs_part_of_the_sensors_and_no_memory():
    found = read(100.0, pue=3.0, reading={"load": Load(9.0, 36.0, 72.0)})
    assert found.values["energy_eit_kwh"] == pytest.approx(1.58 * 0.001 * 0.8 * 0.25)
    parts = {"processor": 0.0008, "gpu": 0.003, "memory": 0.0002}
    sources = {"processor": "rapl", "gpu": "nvml", "memory": "constant"}
    both = read(100.0, reading={"parts_kwh": parts, "sources": sources})
    assert both.values["energy_eit_kwh"] == pytest.approx(1.58 * 0.0038)


@pytest.mark.parametrize(
    "sources",
    [
        {"processor": "load model", "memory": "constant"},
        {"processor": "load model", "gpu": "nvml", "memory": "constant"},
        {"processor": "rapl", "gpu": "unknown", "memory": "constant"},
        {"processor": "unknown"},
    ],
)
def test_the_impact_tracker_takes_no_estimate(sources):
    assert "RAPL and NVML only" in read(100.0, reading={"sources": sources}).absent["energy_eit_kwh"]


def test_break_even_is_the_energy_of_compressing_over_the_saving_of_one_inference():
    artifact, reference = read(50.0), read(100.0)
    assert break_even(1.0, artifact, reference) == math.ceil(1.0 / 0.0005 * 1000)
    assert "saves no energy" in break_even(1.0, reference, artifact)


def test_a_saving_within_its_noise_pays_nothing_back():
    steady, noisy = read(50.0, 50.1, 49.9), read(100.0, 20.0, 80.0)
    assert "is not significant" in break_even(1.0, steady, noisy)
    assert isinstance(break_even(1.0, steady, read(100.0, 101.0, 99.0)), int)


def test_savings_are_paired_by_round():
    drift = [0.0, 300.0, 900.0]
    artifact = read(*(50.0 + more for more in drift))
    reference = read(*(100.0 + more for more in drift))
    assert break_even(1.0, artifact, reference) == pytest.approx(2_000_000, abs=1)
