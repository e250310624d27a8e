"""Latency at real lengths: the same evaluation examples for both models, one per call and without padding."""

from __future__ import annotations

import dataclasses
import math
import statistics
from types import SimpleNamespace

import pytest
from made_clock import Clock
from pydantic import TypeAdapter
from test_latency import measuring, paired
from test_typical import ROWS, Ticking, examples  # noqa: F401
from torch import nn

from bench.measures.timing.latency import Latency, LatencyRound
from bench.measures.timing.real import COLUMNS
from bench.measures.timing.steady import Clocks
from bench.measures.timing.typical import CHOSEN, POOL, representative
from bench.tasks.kinds.kind import KINDS


class PerToken(nn.Module):
    """A model whose call takes `token_s` per token and row, padding included, and `call_s` besides."""

    def __init__(self, clock, token_s, call_s=0.0):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=20, max_position_embeddings=64)
        self.clock, self.token_s, self.call_s, self.read = clock, token_s, call_s, []

    def forward(self, input_ids, attention_mask, **_):
        self.read.append((tuple(input_ids.shape), tuple(map(tuple, input_ids.tolist())), bool(attention_mask.all())))
        self.clock.now += self.call_s + self.token_s * input_ids.numel()


@pytest.fixture
def sides(tokenizer):
    """Two models of fixed depth on one fake clock: 4 ms and 10 ms per token, the first with 20 ms per call."""
    clock = Clock()
    models = [PerToken(clock, 0.004, 0.02), PerToken(clock, 0.01)]
    return clock, [SimpleNamespace(model=model.eval(), tokenizer=tokenizer) for model in models]


def rounds_of(clock, sides, setting, found):
    measure = Latency(clocks=Clocks(wall=clock, processor=clock))
    return [
        measure.round(*sides, number=number, device="cpu", measuring=setting.measuring, examples=found)
        for number in range(setting.measuring.processes)
    ]


def reading_of(clock, sides, setting, found):
    measure = Latency(clocks=Clocks(wall=clock, processor=clock))
    rounds = rounds_of(clock, sides, setting, found)
    names = measure.probes(setting.measuring, KINDS.get("classification"))
    reading = measure.read(paired(sides, setting, apart={"latency": dict(zip(names, zip(rounds), strict=True))}))
    assert set(reading.values) | set(reading.absent) == set(Latency.columns)
    assert not set(reading.values) & set(reading.absent)
    return reading


def test_the_columns_are_the_means_over_examples_that_run_alone(examples, sides, tokenizer):  # noqa: F811
    clock, models = sides
    reading = reading_of(clock, models, measuring(real_lengths=True, processes=2), examples)
    tokens = reading.conditions["real_lengths"]["tokens"]
    pool = statistics.fmean(each["input_ids"].size(1) for each in examples.inputs(tokenizer, POOL))
    assert tokens == pytest.approx(pool, abs=0.5)
    assert reading.values["latency_real_p50_s"] == pytest.approx(0.02 + 0.004 * tokens)
    assert reading.reference["latency_real_p50_s"] == pytest.approx(0.01 * tokens)
    assert reading.values["latency_real_undisturbed_s"] == pytest.approx(0.02 + 0.004 * tokens)
    ratio = 0.01 * tokens / (0.02 + 0.004 * tokens)
    assert reading.values["speedup_real"] == pytest.approx(ratio)
    assert reading.values["speedup_real_low"] == pytest.approx(ratio)
    assert reading.reference["speedup_real"] == 1.0
    # The suite's length stays what the other columns are of: 8 made tokens.
    assert reading.values["speedup"] == pytest.approx(0.08 / 0.052)
    assert reading.values["latency_p50_s"] == pytest.approx(0.052)
    assert reading.conditions["length"] == 8


def test_both_models_run_the_same_examples_one_per_call_without_padding(examples, sides):  # noqa: F811
    clock, models = sides
    rounds_of(clock, models, measuring(real_lengths=True), examples)
    made = {texts for _, texts, _ in models[0].model.read if len(texts) > 1 or len(texts[0]) == 8}
    runs = [[each for each in side.model.read if each[1] not in made] for side in models]
    assert {texts for _, texts, _ in runs[0]} == {texts for _, texts, _ in runs[1]}
    assert all(shape[0] == 1 and whole for shape, _, whole in (*runs[0], *runs[1]))
    assert {shape[1] for shape, _, _ in runs[0]} >= {3, 4, 5, 6, 7}


def test_without_the_setting_nothing_more_is_run_and_the_reason_is_given(examples, sides):  # noqa: F811
    clock, models = sides
    reading = reading_of(clock, models, measuring(), examples)
    assert {reading.absent[name] for name in COLUMNS} == {
        "not asked for: measuring.real_lengths of the setting is false"
    }
    assert {shape[1] for shape, _, _ in models[0].model.read} == {8}
    assert "real_lengths" not in reading.conditions


def test_the_setting_changes_no_id_while_it_is_off():
    off, on = measuring().identified(), measuring(real_lengths=True).identified()
    assert "real_lengths" not in off["measuring"]
    assert on["measuring"].pop("real_lengths") is True
    assert on == off


def test_processes_that_differ_widen_the_interval(examples, sides):  # noqa: F811
    clock, models = sides
    setting = measuring(real_lengths=True, processes=3, patience_seconds=60.0)
    measure, rounds = Latency(clocks=Clocks(wall=clock, processor=clock)), []
    models[0].model.call_s = 0.0
    for number, slow in enumerate((1.9, 2.0, 2.1)):
        models[1].model.token_s = 0.004 * slow
        plan = {"device": "cpu", "measuring": setting.measuring, "examples": examples}
        rounds.append(measure.round(*models, number=number, **plan))
    names = measure.probes(setting.measuring, KINDS.get("classification"))
    reading = measure.read(paired(models, setting, apart={"latency": dict(zip(names, zip(rounds), strict=True))}))
    logs = [math.log(each) for each in (1.9, 2.0, 2.1)]
    half = 4.302653 * statistics.stdev(logs) / math.sqrt(3)
    assert reading.values["speedup_real"] == pytest.approx(math.exp(statistics.fmean(logs)))
    assert reading.values["speedup_real_low"] == pytest.approx(math.exp(statistics.fmean(logs) - half), rel=1e-6)


def test_a_model_of_dynamic_depth_is_not_timed_twice(examples, sides, tokenizer):  # noqa: F811
    clock, (_, reference) = sides
    artifact = SimpleNamespace(model=Ticking(clock, 0.01).eval(), tokenizer=tokenizer)
    plain, both = (
        rounds_of(clock, (artifact, reference), measuring(real_lengths=on), examples)[0] for on in (False, True)
    )
    assert plain.real is None
    assert both.real.result == both.result
    assert len(both.pairs) == len(plain.pairs) == len(both.real.pairs)


def test_a_round_survives_being_written_as_json(examples, sides):  # noqa: F811
    clock, models = sides
    (found,) = rounds_of(clock, models, measuring(real_lengths=True), examples)
    as_json = TypeAdapter(LatencyRound)
    assert as_json.validate_json(as_json.dump_json(found)) == found


def test_what_cannot_be_timed_has_a_reason_and_the_rest_its_values(examples, sides):  # noqa: F811
    clock, models = sides
    nothing = reading_of(clock, models, measuring(real_lengths=True), None)
    assert nothing.absent["speedup_real"] == "there are no evaluation examples at hand"
    writing = dataclasses.replace(examples, task=examples.task.model_copy(update={"kind": "translation"}))
    reading = reading_of(clock, models, measuring(real_lengths=True), writing)
    assert "more than one call" in reading.absent["latency_real_p50_s"]
    assert reading.values["speedup"] > 1


def test_the_examples_of_two_models_of_fixed_depth_stand_for_all_lengths(examples, sides):  # noqa: F811
    _, models = sides
    found = representative(*models, examples, device="cpu")
    assert (len(found.inputs), found.layers, found.reference_layers) == (CHOSEN, None, None)
    assert ROWS > POOL > CHOSEN
