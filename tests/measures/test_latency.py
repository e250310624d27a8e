from __future__ import annotations

import math
import statistics
import time
from types import SimpleNamespace

import pytest
import torch
from made_clock import Clock
from torch import nn

from bench.artifacts import artifact
from bench.measures.timing.latency import Latency
from bench.measures.timing.steady import Clocks
from bench.spec.setting import Measuring, Setting
from bench.tasks.kinds.kind import KINDS


class Fake(nn.Module):
    """A model whose call takes `seconds(calls so far)` for one row, on a fake clock."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=20, max_position_embeddings=64)
        self.clock, self.seconds, self.calls = clock, seconds, 0

    def forward(self, input_ids, attention_mask):
        self.clock.now += self.seconds(self.calls) * len(input_ids)
        self.calls += 1


def measuring(**changes):
    quick = {"threads": 1, "processes": 1, "pairs": 20, "seconds": 0.1, "patience_seconds": 1.0, "sweep_seconds": 0.01}
    return Setting(measuring=Measuring(country="DEU", length=8, **{**quick, **changes}))


def paired(sides, setting, **changes):
    values = {"setting": setting, "device": "cpu", "seed": 0, "is_reference": False, **changes}
    return SimpleNamespace(**dict(zip(("artifact", "reference"), sides, strict=True)), **values)


def read_sides(sides, measure, setting, lost=()):
    """The reading of every process's round; those whose numbers are in `lost` gave nothing."""
    plan = setting.measuring
    rounds = [
        f"process {number} was killed"
        if number in lost
        else measure.round(*sides, number=number, device="cpu", measuring=plan)
        for number in range(plan.processes)
    ]
    apart = {"latency": dict(zip(measure.probes(plan, KINDS.get("classification")), zip(rounds), strict=True))}
    return measure.read(paired(sides, setting, apart=apart))


def read_fakes(call_s, reference_call_s, **setting):
    """Latency of two fake models, on a fake clock."""
    clock = Clock()
    sides = [SimpleNamespace(model=Fake(clock, each), tokenizer=20) for each in (call_s, reference_call_s)]
    reading = read_sides(sides, Latency(clocks=Clocks(wall=clock, processor=clock)), measuring(**setting))
    assert set(reading.values) | set(reading.absent) == set(Latency.columns)
    assert not set(reading.values) & set(reading.absent)
    reading.warnings = [(code, says) for code, says in reading.warnings if code not in ("cpu-steal", "busy-machine")]
    return reading


def codes(reading):
    return [code for code, _ in reading.warnings if code != "interrupted"]


def test_fake_models_of_known_time_give_every_column_exactly():
    reading = read_fakes(lambda _: 0.25, lambda _: 0.5, pairs=64, seconds=1, throughput_batch=16)
    assert reading.values == {
        "latency_p50_s": 0.25,
        "latency_p90_s": 0.25,
        "latency_mad_s": 0.0,
        "latency_undisturbed_s": 0.25,
        "throughput_eps": 4.0,
        "speedup": 2.0,
        "speedup_low": 2.0,
        "speedup_high": 2.0,
        "speedup_observed": 2.0,
    }
    assert (reading.reference["latency_p50_s"], reading.reference["throughput_eps"]) == (0.5, 2.0)
    assert codes(reading) == []
    assert reading.conditions["verdict"] == "valid"


def test_raw_samples_of_both_models_the_pairs_and_the_laps_are_kept():
    reading = read_fakes(lambda _: 0.25, lambda _: 0.5, pairs=20, seconds=1)
    assert reading.samples["latency_s"] == [0.25] * 20
    assert reading.samples["reference_latency_s"] == [0.5] * 20
    assert reading.samples["pair_ratio"] == [2.0] * 20
    assert reading.tables["laps"]["lap_s"] == [[0.25]] * 20 + [[0.5]] * 20
    assert len(reading.samples["throughput_call_s"]) == 5
    assert (reading.conditions["pairs_measured"], reading.conditions["threads"]) == (20, 1)
    assert len(reading.conditions["processors"]) == 1


def test_the_speedup_is_that_of_all_processes_and_its_interval_knows_how_they_differ():
    ratios = iter([1.9, 2.0, 2.1])

    class Processes(Latency):
        def round(self, artifact, reference, **more):
            ratio = next(ratios)
            self.clock.now = 0.0
            reference.model.seconds = lambda _: 0.25 * ratio
            return super().round(artifact, reference, **more)

    clock = Clock()
    Processes.clock = clock
    sides = [SimpleNamespace(model=Fake(clock, each), tokenizer=20) for each in (lambda _: 0.25, None)]
    setting = measuring(processes=3, pairs=24, patience_seconds=300.0)
    reading = read_sides(sides, Processes(clocks=Clocks(wall=clock, processor=clock)), setting)
    logs = [math.log(each) for each in (1.9, 2.0, 2.1)]
    middle, half = statistics.fmean(logs), 4.302653 * statistics.stdev(logs) / math.sqrt(3)
    assert reading.samples["process_speedup"] == pytest.approx([1.9, 2.0, 2.1])
    assert reading.values["speedup"] == pytest.approx(math.exp(middle))
    assert reading.values["speedup_low"] == pytest.approx(math.exp(middle - half), rel=1e-6)
    assert reading.values["speedup_high"] == pytest.approx(math.exp(middle + half), rel=1e-6)
    assert (reading.values["latency_p50_s_low"], reading.values["latency_p50_s_high"]) == (0.25, 0.25)
    assert reading.reference["latency_p50_s_low"] < reading.reference["latency_p50_s"] == pytest.approx(0.5)
    assert sorted(set(reading.tables["laps"]["process"])) == [0, 1, 2]
    assert len(reading.samples["latency_s"]) == 24


def test_a_process_that_was_lost_is_named_and_the_others_count():
    clock = Clock()
    sides = [SimpleNamespace(model=Fake(clock, lambda _: 0.25), tokenizer=20)] * 2
    measure = Latency(clocks=Clocks(wall=clock, processor=clock))
    reading = read_sides(sides, measure, measuring(processes=4), lost={0, 2})
    assert reading.values["speedup"] == 1.0
    assert "throughput_eps" not in reading.values
    assert "process 0 was killed" in reading.absent["throughput_eps"]
    assert dict(reading.warnings)["lost-process"].startswith("2 of 4 timing processes gave no result")
    nothing = read_sides(sides, measure, measuring(processes=2), lost={0, 1})
    assert set(nothing.absent) == set(Latency.columns)
    assert set(nothing.absent.values()) == {"process 0 was killed"}


def test_percentiles_with_too_few_samples_are_absent_with_both_numbers_in_the_reason():
    reading = read_fakes(lambda _: 0.25, lambda _: 0.25, pairs=63, seconds=1)
    assert {name: why for name, why in reading.absent.items() if name.startswith("latency_p9")} == {
        "latency_p90_s": "63 samples, but p90 needs 64",
        "latency_p99_s": "63 samples, but p99 needs 662",
    }


def test_short_calls_are_timed_in_blocks_so_that_p99_is_reached():
    reading = read_fakes(lambda _: 2**-10, lambda _: 2**-9, pairs=170, seconds=0.1)
    assert (reading.conditions["calls_a_block"], reading.conditions["reference_calls_a_block"]) == (5, 3)
    assert len(reading.samples["latency_s"]) == 5 * 170
    assert reading.values["latency_p99_s"] == 2**-10
    assert "latency_p99_s" not in reading.reference  # 3 * 170 samples
    assert reading.values["speedup"] == 2.0


def test_a_ratio_on_a_machine_that_never_settles_is_absent_and_the_observed_one_stays():
    reading = read_fakes(
        lambda call: 0.25 * (1.2 ** (call * 7 % 11)), lambda call: 0.5 * (1.2 ** (call * 5 % 7)), patience_seconds=30.0
    )
    assert reading.absent["speedup"].startswith("invalid: the timing never became stable")
    assert {"speedup_low", "speedup_high", "latency_undisturbed_s"} <= reading.absent.keys()
    assert reading.values["speedup_observed"] > 0
    assert "not-settled" in codes(reading)
    assert reading.conditions["verdict"].startswith("invalid")


def test_outliers_are_flagged():
    reading = read_fakes(lambda call: 4.0 if call % 12 == 0 else 0.25 + call % 3 / 1000, lambda _: 0.5, pairs=40)
    assert "outliers" in codes(reading)


def test_a_common_drift_is_flagged():
    reading = read_fakes(lambda call: 0.25 + call / 1000, lambda call: 0.5 + call / 500, pairs=60)
    assert "drift" in codes(reading)


def test_a_sweep_times_every_length_and_batch_and_names_what_a_model_cannot_take():
    reading = read_fakes(lambda _: 0.25, lambda _: 0.5, sweep_lengths=(16, 512), sweep_batches=(4,), throughput_batch=2)
    short, long, batch, throughput = reading.conditions["sweep"]
    assert (short["length"], short["speedup_observed"]) == (16, 2.0)
    assert "at most 64" in long["absent"]
    assert (batch["batch_size"], batch["latency_p50_s"], batch["throughput_eps"]) == (4, 1.0, 4.0)
    assert (throughput["batch_size"], reading.values["throughput_eps"]) == (2, 4.0)


def test_a_sleeping_model_of_10_ms_measures_10_ms_within_a_fifth():
    class Sleeper(nn.Module):
        config = SimpleNamespace(vocab_size=20)

        def forward(self, input_ids, attention_mask):
            time.sleep(0.010)

    side = SimpleNamespace(model=Sleeper(), tokenizer=20)
    # A sleeping thread is off the processor all the time, so the wall clock stands for both.
    clocks = Clocks(wall=time.perf_counter, processor=time.perf_counter)
    reading = read_sides([side, side], Latency(clocks=clocks), measuring(pairs=10, seconds=0.01))
    assert reading.values["latency_p50_s"] == pytest.approx(0.010, rel=0.2)
    assert reading.values["speedup_observed"] == pytest.approx(1.0, rel=0.1)
    assert reading.values["throughput_eps"] == pytest.approx(32 / 0.010, rel=0.2)


def test_a_real_artifact_beside_itself_is_about_as_fast_and_gives_threads_and_mode_back(tiny_bert, tokenizer, tmp_path):
    artifact.save(tiny_bert(), tmp_path / "artifact", tokenizer=tokenizer)
    loaded = artifact.load(tmp_path / "artifact")
    threads = torch.get_num_threads()
    setting = measuring(pairs=20, seconds=0.1, throughput_batch=4)
    found = Latency().probe("process-0", (loaded.directory,) * 2, device="cpu", measuring=setting.measuring)
    apart = {"latency": {"process-0": (found,)}}
    reading = Latency().read(paired([loaded, loaded], setting, apart=apart))
    if "speedup" in reading.values:  # a busy machine may not have settled, which then has its reason
        assert reading.values["speedup_observed"] == pytest.approx(1.0, abs=0.3)
        assert reading.values["speedup"] == pytest.approx(1.0, abs=0.2)
    else:
        assert reading.absent["speedup"].startswith("invalid: ")
    assert all(value > 0 for value in reading.values.values())
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()
