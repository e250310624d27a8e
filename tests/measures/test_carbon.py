"""Energy of inference and of compressing, as columns."""

import dataclasses

import pytest
from made_energy import FakeMeter, make_idle, make_reading
from made_pairs import make_loaded, make_pair, make_task, missing

from bench.artifacts.manifest import NOTHING_MADE, EnergySpent, Manifest, TrainingSpent
from bench.base.errors import BenchError
from bench.measures.energy import windows
from bench.measures.energy.carbon import Carbon
from bench.measures.energy.meter import Load
from bench.tasks.kinds.kind import KINDS

CARBON = Carbon()
ESTIMATE = {"processor": "load model", "memory": "constant"}


TRAINED = TrainingSpent(seconds=1.0, steps=3, final_loss=0.5, epochs=1, batch_size=8, learning_rate=1e-3)


@pytest.fixture
def read(monkeypatch, tiny_bert, tokenizer):
    """Measures a tiny pair; with readings given, of a meter that gives idle, then the windows in turn.

    Which model a window of a round is of, the seed draws: give both the same reading, or ask for `drawn` below.
    """

    def reading(*readings, **more):
        if readings:
            monkeypatch.setattr(windows, "EnergyMeter", FakeMeter(*readings))
        models = {name: make_loaded(name, tiny_bert(), tokenizer) for name in ("artifact", "reference")}
        models["reference"].manifest = Manifest(training=TRAINED)
        options = {"energy_seconds": 0.01, "energy_sample_s": 0.05, "batch_size": 2, "hardware_power_w": 200, **more}
        pair = make_pair(make_task(), None, **models, **options)
        plan = pair.setting.measuring
        if pair.is_reference:
            models.pop("reference")
        found = {}
        for number, name in enumerate(CARBON.probes(plan, KINDS.get("classification"))):
            try:
                found[name] = (CARBON.session(models, [number], device="cpu", measuring=plan),)
            except BenchError as error:  # what a child's failure becomes
                found[name] = (str(error),)
        return CARBON.read(dataclasses.replace(pair, apart={"carbon": found}))

    return reading


@pytest.fixture
def in_order(monkeypatch):
    """Windows in the order in which models are given: artifact, reference."""
    monkeypatch.setattr(windows.random.Random, "sample", lambda self, names, count: list(names))


@pytest.mark.usefixtures("in_order")
def test_energy_is_that_of_a_thousand_examples(read):
    reading = read(make_idle(40.0), make_reading(100.0), make_reading(300.0))
    inferences, beside = reading.conditions["inferences"], reading.conditions["inferences_reference"]
    assert inferences >= 2
    assert inferences % 2 == 0
    assert reading.values["energy_kwh"] == pytest.approx(0.001 * 1000 / inferences)
    assert reading.reference["energy_kwh"] == pytest.approx(0.003 * 1000 / beside)
    assert reading.values["emissions_kgco2e"] == pytest.approx(reading.values["energy_kwh"] / 2)
    assert reading.values["energy_net_kwh"] == pytest.approx(0.0006 * 1000 / inferences)
    assert reading.reference["energy_net_kwh"] == pytest.approx(0.0026 * 1000 / beside)
    assert reading.values["power_w"] == pytest.approx(100.0)
    assert reading.values["power_idle_w"] == reading.reference["power_idle_w"] == pytest.approx(40.0)
    assert reading.conditions["power_source"] == "rapl"
    assert reading.samples["energy_power_w"] == [100.0] * 12
    assert reading.samples["energy_power_w_reference"] == [300.0] * 12
    assert reading.samples["energy_power_w_idle"] == [40.0] * 12
    assert reading.samples["energy_window_kwh"] == [reading.values["energy_kwh"]]
    assert reading.warnings == []
    assert missing(CARBON, reading) == []


def test_windows_of_three_rounds_share_the_stated_seconds_and_give_an_interval(read, monkeypatch):
    lengths = []

    def block(measuring, seconds, work):
        lengths.append(seconds)
        work()
        return (make_idle() if len(lengths) == 1 else make_reading(100.0 + len(lengths))), 1000

    monkeypatch.setattr(windows, "_block", block)
    reading = read(energy_seconds=3.0, energy_sample_s=0.1, energy_windows=3)
    assert lengths == [1.0] * 7
    assert reading.values["energy_kwh_low"] < reading.values["energy_kwh"] < reading.values["energy_kwh_high"]
    assert len(reading.samples["energy_window_kwh"]) == len(reading.samples["energy_window_kwh_reference"]) == 3
    assert reading.conditions["windows"] == 3
    assert missing(CARBON, reading) == []


def test_an_estimate_is_said_to_be_one(read):
    reading = read(make_idle(sources=ESTIMATE), *[make_reading(sources=ESTIMATE)] * 2)
    assert reading.conditions["estimated"] is True
    assert [code for code, _ in reading.warnings] == ["energy-estimated"]
    assert "load model" in reading.warnings[0][1]
    assert "energy_eit_kwh" in reading.absent


def test_an_estimate_of_compressing_alone_is_said_as_well(read):
    made = Manifest(compress_s=3.5, energy=EnergySpent(kwh=0.0001, power_source="load model"))
    reading = read(make_idle(), make_reading(), make_reading(), made=made)
    assert reading.conditions["estimated"] is False
    assert [code for code, _ in reading.warnings] == ["energy-estimated"]


def test_a_reference_beside_itself_is_measured_once_and_pays_nothing_back(read):
    made = Manifest(compress_s=0.0, energy=EnergySpent(kwh=0.0))
    reading = read(make_idle(), make_reading(), is_reference=True, made=made)
    assert reading.values["energy_kwh"] == reading.reference["energy_kwh"]
    assert reading.absent["break_even_inferences"] == "nothing was compressed"
    assert "energy_window_kwh_reference" not in reading.samples
    assert missing(CARBON, reading) == []


@pytest.mark.usefixtures("in_order")
def test_a_window_without_a_reading_is_absent_with_its_reason(read):
    reading = read(make_idle(), "3 samples", make_reading())
    assert reading.absent["energy_kwh"] == reading.absent["emissions_kgco2e"] == "3 samples"
    assert reading.absent["break_even_inferences"] == "3 samples"
    assert missing(CARBON, reading) == []
    reading = read(make_idle(), make_reading(), "4 samples", made=Manifest(compress_s=1.0, energy=EnergySpent(kwh=1.0)))
    assert "energy_kwh" not in reading.reference
    assert "4 samples" in reading.absent["break_even_inferences"]
    assert missing(CARBON, reading) == []


def test_a_busy_machine_has_no_idle_power_and_no_net_energy(read):
    busy = make_reading(40.0, load=Load(1.0, 36.0, 72.0))
    reading = read(busy, make_reading(), make_reading())
    assert "not idle" in reading.absent["power_idle_w"]
    assert "not idle" in reading.absent["energy_net_kwh"]
    assert reading.conditions["idle_busy_share"] == 0.5
    assert "energy_kwh" in reading.values


BUSY = Load(36.0, 66.0, 72.0)  # one of two processors at work, and most of the other for other programs


def test_on_a_busy_machine_energy_and_all_that_derives_from_it_is_absent_with_the_reason(read):
    made = Manifest(compress_s=1.0, energy=EnergySpent(kwh=5.0, power_source="rapl"))
    reading = read(make_idle(), *[make_reading(load=BUSY)] * 2, made=made, wue_l_per_kwh=1.0)
    derived = ("energy_kwh", "energy_net_kwh", "power_w", "emissions_kgco2e", "water_l", "break_even_inferences")
    assert not set(derived) & set(reading.values)
    assert all("other programs used 42% of its processor time" in reading.absent[name] for name in derived)
    assert reading.values["compress_energy_kwh"] == 5.0  # metered at another time
    assert missing(CARBON, reading) == []


@pytest.mark.usefixtures("in_order")
def test_a_busy_window_of_the_reference_leaves_the_artifacts_energy_and_no_break_even(read):
    made = Manifest(compress_s=1.0, energy=EnergySpent(kwh=5.0, power_source="rapl"))
    reading = read(make_idle(), make_reading(), make_reading(load=BUSY), made=made)
    assert "energy_kwh" in reading.values
    assert "energy_kwh" not in reading.reference
    assert reading.conditions["other_share"] == 0.0
    assert reading.conditions["windows_without_reading"] == 1
    assert "energy of the reference: the machine was busy" in reading.absent["break_even_inferences"]
    assert missing(CARBON, reading) == []


def test_windows_without_other_work_count_and_the_others_do_not(read, monkeypatch):
    loads = iter([Load(1.0, 1.0, 2.0), BUSY] * 3)

    def block(measuring, seconds, work):
        work()
        return make_reading(100.0, load=next(loads)), 1000

    monkeypatch.setattr(windows, "_block", block)
    reading = read(energy_seconds=5.0, energy_sample_s=0.1, energy_windows=5, is_reference=True)
    assert reading.conditions["windows"] == 2  # of five, one of which the idle window took the load of
    assert reading.conditions["windows_without_reading"] == 3


def test_a_length_that_the_model_does_not_have_is_a_reason(read):
    reading = read(make_idle(), length=65)
    assert "64" in reading.absent["energy_kwh"]
    assert missing(CARBON, reading) == []


def test_what_compressing_cost_is_taken_over(read):
    made = Manifest(compress_s=3.5, energy=EnergySpent(kwh=0.0001, power_source="nvml"))
    reading = read(make_idle(), make_reading(), make_reading(), made=made)
    assert reading.values["compress_s"] == 3.5
    assert reading.values["compress_energy_kwh"] == 1e-4
    assert reading.conditions["compress_power_source"] == "nvml"
    absent = Manifest(compress_s=0.1, energy=EnergySpent(absent="2 samples"))
    reading = read(make_idle(), make_reading(), make_reading(), made=absent)
    assert reading.absent["compress_energy_kwh"] == "2 samples"
    assert reading.absent["break_even_inferences"] == "energy of compressing: 2 samples"
    assert missing(CARBON, read(make_idle(), make_reading(), make_reading())) == []


def test_what_compressing_cost_is_told_in_epochs_of_the_reference(read):
    made = Manifest(compress_s=9.0, compress_cpu_s=6.0)
    reading = read(make_idle(), make_reading(), make_reading(), made=made, epoch_cpu_s=4.0)
    assert reading.values["compress_cpu_s"] == 6.0
    assert reading.values["compress_epochs"] == 1.5
    reading = read(make_idle(), make_reading(), make_reading(), made=made)
    assert "the reference was trained by a version" in reading.absent["compress_epochs"]
    reading = read(make_idle(), make_reading(), make_reading(), made=Manifest(compress_s=9.0))
    assert "did not count processor time" in reading.absent["compress_cpu_s"]
    assert missing(CARBON, reading) == []


@pytest.mark.usefixtures("in_order")
def test_compressing_is_paid_back_by_the_difference_of_the_two_models(read, monkeypatch):
    monkeypatch.setattr(windows, "_wait", lambda seconds: 0)
    made = Manifest(compress_s=1.0, energy=EnergySpent(kwh=5.0, power_source="rapl"))
    reading = read(make_idle(), make_reading(1.0), make_reading(1e6), made=made)
    saved = (reading.reference["energy_kwh"] - reading.values["energy_kwh"]) / 1000
    count = reading.values["break_even_inferences"]
    assert (count - 1) * saved < 5.0 <= count * saved


def test_the_meter_itself_measures_a_model(read, monkeypatch):
    monkeypatch.setattr("bench.measures.energy.meter.OTHER", 1.0)  # tests may run on a busy machine
    reading = read(energy_seconds=0.8, is_reference=True, threads=1, made=NOTHING_MADE)
    assert 0 < reading.values["energy_kwh"] < 1
    assert reading.values["emissions_lacoste_kgco2e"] > 0
    assert len(reading.samples["energy_power_w"]) >= 10
    assert reading.conditions["country"] == "DEU"
    assert missing(CARBON, reading) == []
