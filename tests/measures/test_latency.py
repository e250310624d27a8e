from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench import artifact
from bench.measures.latency import Latency
from bench.suite import Measuring, Setting


class Clock:
    """Seconds that pass only when a fake model or loader says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Fake(nn.Module):
    """A model whose call takes `seconds(calls so far)` for one row, on a fake clock."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=20)
        self.clock, self.seconds, self.calls = clock, seconds, 0

    def forward(self, input_ids, attention_mask):
        self.clock.now += self.seconds(self.calls) * len(input_ids)
        self.calls += 1


def measuring(**changes):
    return Setting(measuring=Measuring(country="DEU", length=8, **{"threads": 1, **changes}))


def paired(sides, setting, **changes):
    values = {"setting": setting, "device": "cpu", "seed": 0, "is_reference": False, **changes}
    names = ("artifact", "reference")
    directories = {f"{name}_dir": f"{name} directory" for name in names}
    return SimpleNamespace(**dict(zip(names, sides, strict=True)), **{**directories, **values})


def read_fakes(call_s, reference_call_s, *, load_s=(0.5, 0.75), **setting):
    """Latency of two fake models, on a fake clock and with a fake loader."""
    clock = Clock()
    models = {"artifact directory": call_s, "reference directory": reference_call_s}

    def load(directory, device):
        clock.now += load_s[directory == "reference directory"]
        return SimpleNamespace(model=Fake(clock, models[directory]))

    sides = [SimpleNamespace(model=Fake(clock, each), tokenizer=20) for each in (call_s, reference_call_s)]
    reading = Latency(clock=clock, load=load).read(paired(sides, measuring(**setting)))
    assert set(reading.values) | set(reading.absent) == set(Latency.columns)
    assert not set(reading.values) & set(reading.absent)
    return reading


def test_fake_models_of_known_time_give_every_column_exactly():
    reading = read_fakes(lambda _: 0.25, lambda _: 0.5, pairs=64, seconds=1, throughput_batch=16)
    assert reading.values == {
        "latency_p50_s": 0.25,
        "latency_p90_s": 0.25,
        "latency_mad_s": 0.0,
        "load_s": 0.5,
        "first_call_s": 0.25,
        "throughput_eps": 4.0,
        "speedup": 2.0,
        "speedup_low": 2.0,
        "speedup_high": 2.0,
    }
    assert reading.reference["load_s"] == 0.75
    assert (reading.reference["latency_p50_s"], reading.reference["throughput_eps"]) == (0.5, 2.0)
    assert reading.warnings == []


def test_raw_samples_of_both_models_and_the_pairs_are_kept():
    reading = read_fakes(lambda _: 0.25, lambda _: 0.5, pairs=20, seconds=1)
    assert reading.samples["latency_s"] == [0.25] * 20
    assert reading.samples["reference_latency_s"] == [0.5] * 20
    assert reading.samples["pair_ratio"] == [2.0] * 20
    assert (len(reading.samples["throughput_call_s"]), len(reading.samples["load_s"])) == (5, 3)
    assert (reading.conditions["pairs_measured"], reading.conditions["threads"]) == (20, 1)


def test_percentiles_with_too_few_samples_are_absent_with_both_numbers_in_the_reason():
    reading = read_fakes(lambda _: 0.25, lambda _: 0.25, pairs=63, seconds=1)
    assert reading.absent == {
        "latency_p90_s": "63 samples; p90 needs 64",
        "latency_p99_s": "63 samples; p99 needs 662",
    }


def test_short_calls_are_timed_in_blocks_so_that_p99_is_reached():
    reading = read_fakes(lambda _: 2**-10, lambda _: 2**-9, pairs=170, seconds=0.1)
    assert (reading.conditions["calls_a_block"], reading.conditions["reference_calls_a_block"]) == (5, 3)
    assert len(reading.samples["latency_s"]) == 5 * 170
    assert reading.values["latency_p99_s"] == 2**-10
    assert "latency_p99_s" not in reading.reference  # 3 * 170 samples
    assert reading.values["speedup"] == 2.0


def test_a_noisy_ratio_is_flagged_and_its_interval_contains_the_truth():
    reading = read_fakes(
        lambda call: 0.25 * (1 + call * 7 % 11 / 10), lambda call: 0.5 * (1 + call * 5 % 7 / 6), pairs=20
    )
    assert reading.values["speedup_low"] < reading.values["speedup"] < reading.values["speedup_high"]
    assert "speedup-uncertain" in [code for code, _ in reading.warnings]


def test_a_slow_first_call_and_outliers_are_flagged():
    reading = read_fakes(lambda call: 4.0 if call % 12 == 0 else 0.25 + call % 3 / 1000, lambda _: 0.5, pairs=40)
    codes = [code for code, _ in reading.warnings]
    assert "slow-start" in codes
    assert "outliers" in codes
    assert reading.values["first_call_s"] == 4.0


def test_a_sleeping_model_of_10_ms_measures_10_ms_within_a_fifth():
    class Sleeper(nn.Module):
        config = SimpleNamespace(vocab_size=20)

        def forward(self, input_ids, attention_mask):
            time.sleep(0.010)

    side = SimpleNamespace(model=Sleeper(), tokenizer=20)
    pair = paired([side, side], measuring(pairs=10, seconds=0.01))
    reading = Latency(load=lambda directory, device: side).read(pair)
    assert reading.values["latency_p50_s"] == pytest.approx(0.010, rel=0.2)
    assert reading.values["speedup"] == pytest.approx(1.0, rel=0.1)
    assert reading.values["throughput_eps"] == pytest.approx(32 / 0.010, rel=0.2)


def test_a_real_artifact_beside_itself_is_about_as_fast_and_gives_threads_and_mode_back(tiny_bert, tokenizer, tmp_path):
    artifact.save(tiny_bert(), tmp_path / "artifact", tokenizer=tokenizer, made={})
    loaded = artifact.load(tmp_path / "artifact")
    directories = {"artifact_dir": tmp_path / "artifact", "reference_dir": tmp_path / "artifact", "is_reference": True}
    threads = torch.get_num_threads()
    pair = paired([loaded, loaded], measuring(pairs=20, seconds=0.1, throughput_batch=4), **directories)
    reading = Latency().read(pair)
    assert reading.values["speedup_low"] <= reading.values["speedup"] <= reading.values["speedup_high"]
    assert reading.values["speedup_low"] < 1.2  # the interval reaches into the neighbourhood of 1
    assert reading.values["speedup_high"] > 0.8
    assert all(value > 0 for value in reading.values.values())
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()
