"""Energy of inference and of compressing, as columns."""

import pytest
from made_pairs import make_loaded, make_pair, make_task, missing

from bench.measures import carbon
from bench.measures.carbon import Carbon
from bench.measures.energy_meter import EnergyReading

CARBON = Carbon()
READING = EnergyReading(
    kwh=2e-6,
    kgco2e=1e-6,
    seconds=0.01,
    power_w=(700.0, 740.0),
    sources={"processor": "rapl", "memory": "constant"},
    country="DEU",
    grid_kgco2e_per_kwh=0.5,
    codecarbon="3",
)


class FakeMeter:
    """Stands for the energy meter: gives readings in turn."""

    def __init__(self, *readings):
        self.readings = list(readings)
        self.reading = None

    def __call__(self, *, country, sample_s):
        assert country == "DEU"
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reading = self.readings.pop(0)


@pytest.fixture
def read(monkeypatch, tiny_bert, tokenizer):
    def reading(*readings, **more):
        if readings:
            monkeypatch.setattr(carbon, "EnergyMeter", FakeMeter(*readings))
        models = {name: make_loaded(name, tiny_bert(), tokenizer) for name in ("artifact", "reference")}
        options = {"energy_seconds": 0.01, "batch_size": 2, **more}
        return CARBON.read(make_pair(make_task(), None, **models, **options))

    return reading


def test_energy_is_that_of_a_thousand_examples(read):
    reading = read(READING, READING._replace(kwh=6e-6, kgco2e=3e-6))
    inferences, beside = reading.conditions["inferences"], reading.conditions["inferences_reference"]
    assert inferences >= 2
    assert inferences % 2 == 0
    assert reading.values["energy_kwh"] == pytest.approx(2e-6 * 1000 / inferences)
    assert reading.reference["energy_kwh"] == pytest.approx(6e-6 * 1000 / beside)
    assert reading.values["emissions_kgco2e"] == pytest.approx(reading.values["energy_kwh"] / 2)
    assert reading.conditions["power_source"] == "rapl"
    assert reading.samples["energy_power_w"] == [700.0, 740.0]
    assert reading.warnings == []
    assert missing(CARBON, reading) == []


def test_an_estimate_is_said_to_be_one(read):
    estimate = READING._replace(sources={"processor": "load model", "memory": "constant"})
    reading = read(estimate, estimate)
    assert reading.conditions["estimated"] is True
    assert [code for code, _ in reading.warnings] == ["energy-estimated"]
    assert "load model" in reading.warnings[0][1]


def test_a_reference_beside_itself_is_measured_once(read):
    reading = read(READING, is_reference=True)
    assert reading.values["energy_kwh"] == reading.reference["energy_kwh"]


def test_a_window_without_a_reading_is_absent_with_its_reason(read):
    reading = read("3 samples", READING)
    assert reading.absent["energy_kwh"] == reading.absent["emissions_kgco2e"] == "3 samples"
    assert missing(CARBON, reading) == []
    assert "energy_kwh" not in read(READING, "3 samples").reference


def test_a_length_that_the_model_does_not_have_is_a_reason(read):
    assert "64" in read(READING, READING, length=65).absent["energy_kwh"]


def test_what_compressing_cost_is_taken_over(read):
    reading = read(READING, READING, made={"compress_s": 3.5, "energy_kwh": 1e-4, "power_source": "nvml"})
    assert reading.values["compress_s"] == 3.5
    assert reading.values["compress_energy_kwh"] == 1e-4
    assert reading.conditions["compress_power_source"] == "nvml"
    reading = read(READING, READING, made={"compress_s": 0.1, "energy_absent": "2 samples"})
    assert reading.absent["compress_energy_kwh"] == "2 samples"
    assert missing(CARBON, read(READING, READING)) == []


def test_the_meter_itself_measures_a_model(read):
    reading = read(energy_seconds=0.8, energy_sample_s=0.05, is_reference=True, threads=1)
    assert 0 < reading.values["energy_kwh"] < 1
    assert len(reading.samples["energy_power_w"]) >= 10
    assert reading.conditions["country"] == "DEU"
