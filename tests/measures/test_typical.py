"""Timing on evaluation examples if the work depends on what is read: which are chosen, and what a sample is."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from made_clock import Clock
from made_pairs import make_task
from test_latency import measuring, paired
from torch import nn

from bench.base.errors import ModelError
from bench.measures.base.examples import EvaluationExamples, spread
from bench.measures.timing.latency import Latency
from bench.measures.timing.steady import Clocks
from bench.measures.timing.typical import CHOSEN, POOL, Typical, typical
from bench.tasks.examples import Example, TaskData, write_data
from bench.tasks.kinds.kind import KINDS

WORDS = ["film", "good", "bad", "boring", "fun", "plot", "actor", "story", "great", "awful"]
ROWS = 200


class Ticking(nn.Module):
    """A model whose call takes `layer_s` per layer and row on a fake clock; it runs as many layers as its text says."""

    def __init__(self, clock, layer_s, *, depth=None):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=20, max_position_embeddings=64)
        self.clock, self.layer_s, self.depth, self.forced, self.read = clock, layer_s, depth, None, []
        if depth is None:
            self.executed_layers = lambda: self.ran

    @contextmanager
    def leaving_after(self, layers):
        yield

    def forward(self, input_ids, attention_mask, **_):
        self.read.append(tuple(input_ids.shape))
        lengths = attention_mask.sum(1)
        self.ran = (lengths % 4 + 1) if self.depth is None else torch.full((len(input_ids),), self.depth)
        self.clock.now += self.layer_s * int(self.ran.sum())


@pytest.fixture
def examples(tmp_path):
    """Texts of 3 to 8 tokens, in a file as the store keeps it."""
    task = make_task(evaluate=("validation",))
    texts = [" ".join(WORDS[(row + place) % 10] for place in range(1 + row * 7 // 3 % 6)) for row in range(ROWS)]
    split = tuple(Example(uid=str(row), text=text, label=0) for row, text in enumerate(texts))
    path = tmp_path / "data"
    write_data(path, TaskData(splits={"validation": split}, origin="made", revision=None, generated=True))
    return EvaluationExamples(data=path, task=task, max_length=16)


@pytest.fixture
def sides(tokenizer):
    """An adaptive artifact and a reference of four layers, on one fake clock."""
    clock = Clock()
    models = [Ticking(clock, 0.01), Ticking(clock, 0.01, depth=4)]
    return clock, [SimpleNamespace(model=model.eval(), tokenizer=tokenizer) for model in models]


def test_places_are_spread_evenly_and_all_are_taken_if_there_are_few():
    assert spread(3, 5) == [0, 1, 2]
    assert spread(10, 5) == [1, 3, 5, 7, 9]
    assert spread(ROWS, POOL) == sorted(set(spread(ROWS, POOL)))


def test_inputs_are_single_examples_with_their_own_lengths(examples, tokenizer):
    inputs = examples.inputs(tokenizer, 50)
    assert len(inputs) == 50
    assert all(len(each["input_ids"]) == 1 and bool(each["attention_mask"].all()) for each in inputs)
    assert {each["input_ids"].size(1) for each in inputs} == {3, 4, 5, 6, 7, 8}


def test_the_chosen_examples_have_the_mean_layers_of_the_pool_and_are_always_the_same(examples, sides, tokenizer):
    _, (artifact, reference) = sides
    found, again = (typical(artifact, reference, examples, device="cpu") for _ in range(2))
    lengths = [each["input_ids"].size(1) for each in examples.inputs(tokenizer, POOL)]
    pool = sum(length % 4 + 1 for length in lengths) / POOL
    assert len(found.inputs) == CHOSEN
    assert found.layers == pytest.approx(pool, abs=4 / CHOSEN)
    assert found.reference_layers is None
    assert found.layers == sum(each["input_ids"].size(1) % 4 + 1 for each in found.inputs) / CHOSEN
    assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(found.inputs, again.inputs, strict=True))


def test_two_models_of_fixed_depth_are_timed_on_made_inputs(examples, sides, tokenizer):
    clock, (_, reference) = sides
    assert typical(reference, reference, examples, device="cpu") is None
    other = SimpleNamespace(model=Ticking(clock, 0.02, depth=4), tokenizer=tokenizer)
    found = Latency(clocks=Clocks(wall=clock, processor=clock)).round(
        other, reference, number=0, device="cpu", measuring=measuring().measuring, examples=examples
    )
    assert found.read is None
    assert other.model.read[0] == (1, 8)
    assert found.result.ratio.middle == pytest.approx(0.5)


def test_latency_is_the_mean_over_real_examples_and_the_speedup_that_of_their_mean_layers(examples, sides):
    clock, (artifact, reference) = sides
    setting = measuring(pairs=10, seconds=0.5, throughput_batch=8)
    measure = Latency(clocks=Clocks(wall=clock, processor=clock))
    found = measure.round(artifact, reference, number=0, device="cpu", measuring=setting.measuring, examples=examples)
    layers = found.read.layers
    assert found.result.ratio.middle == pytest.approx(4 / layers)
    assert found.result.artifact_s == pytest.approx(0.01 * layers)
    apart = {
        "latency": dict(zip(measure.probes(setting.measuring, KINDS.get("classification")), [(found,)], strict=True))
    }
    reading = measure.read(paired((artifact, reference), setting, apart=apart))
    assert reading.values["latency_p50_s"] == pytest.approx(0.01 * layers)
    assert reading.reference["latency_p50_s"] == pytest.approx(0.04)
    assert reading.values["speedup"] == pytest.approx(4 / layers)
    assert "mean over 16 examples" in reading.absent["latency_p90_s"]
    assert reading.conditions["examples"] == CHOSEN
    assert reading.conditions["timed_layers"] == layers
    assert "real-lengths" in dict(reading.warnings)
    assert set(reading.values) | set(reading.absent) == set(Latency.columns)
    assert reading.values["throughput_eps"] == pytest.approx(1 / (0.01 * layers))


def test_batches_hold_every_example_once_with_padding_to_the_right_and_other_lengths_are_refused(examples, sides):
    _, (artifact, reference) = sides
    found = typical(artifact, reference, examples, device="cpu")
    batches = found.batches(5, pad_id=0)
    assert [len(each["input_ids"]) for each in batches] == [5, 5, 5, 1]
    rows = [row[row != 0].tolist() for each in batches for row in each["input_ids"]]
    assert sorted(rows) == sorted(each["input_ids"][0].tolist() for each in found.inputs)
    assert all(torch.equal(each["attention_mask"], (each["input_ids"] != 0).long()) for each in batches)
    assert isinstance(found, Typical)
    with pytest.raises(ModelError, match="have their own lengths"):
        found.sides(artifact, reference, 1, 32, measuring=measuring().measuring, device="cpu")
