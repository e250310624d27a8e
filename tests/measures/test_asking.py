"""Timing a function of texts: both models go from text to answer on the same examples, in one process."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from made_clock import Clock
from made_pairs import make_loaded, make_task
from test_latency import measuring, paired
from torch import nn

from bench.base.errors import ModelError
from bench.engine.measurer import _taken
from bench.measures.base.examples import EvaluationExamples
from bench.measures.base.measure import MEASURES, Pair
from bench.measures.timing.asking import asked
from bench.measures.timing.latency import Latency
from bench.measures.timing.steady import Clocks
from bench.measures.timing.typical import CHOSEN
from bench.models.texts import CLOSED, TextFunction
from bench.tasks.examples import Example, TaskData, write_data
from bench.tasks.kinds.kind import KINDS

WORDS = ["film", "good", "bad", "boring", "fun", "plot", "actor", "story", "great", "awful"]
CALL_S, TOKENIZE_S, FUNCTION_S = 0.03, 0.01, 0.02  # per example


class Ticking(nn.Module):
    """A classifier whose call takes `CALL_S` per row on a fake clock."""

    def __init__(self, clock):
        super().__init__()
        self.config, self.clock = SimpleNamespace(max_position_embeddings=64), clock

    def forward(self, input_ids, **_):
        self.clock.now += CALL_S * len(input_ids)
        return SimpleNamespace(logits=torch.zeros(len(input_ids), 2))


class TickingTokenizer:
    """A tokenizer whose call takes `TOKENIZE_S` per text on a fake clock."""

    def __init__(self, tokenizer, clock):
        self.tokenizer, self.clock = tokenizer, clock

    def __call__(self, texts, *others, **options):
        self.clock.now += TOKENIZE_S * len(texts)
        return self.tokenizer(texts, *others, **options)

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)


@pytest.fixture
def examples(tmp_path):
    """100 texts of 1 to 6 words, in a file as the store keeps it."""
    texts = [" ".join(WORDS[(row + place) % 10] for place in range(1 + row % 6)) for row in range(100)]
    split = tuple(Example(uid=str(row), text=text, label=0) for row, text in enumerate(texts))
    write_data(tmp_path / "data", TaskData(splits={"validation": split}, origin="m", revision=None, generated=True))
    return EvaluationExamples(data=tmp_path / "data", task=make_task(evaluate=("validation",)), max_length=16)


@pytest.fixture
def sides(tokenizer):
    clock, said = Clock(), []

    def answer(texts):
        clock.now += FUNCTION_S * len(texts)
        said.append(list(texts))
        return [[0.0, 1.0] for _ in texts]

    function = TextFunction("made:function", answer, ("no", "yes")).eval()
    reference = SimpleNamespace(model=Ticking(clock).eval(), tokenizer=TickingTokenizer(tokenizer, clock))
    return clock, said, (SimpleNamespace(model=function, tokenizer=None), reference)


def test_a_function_is_timed_from_text_to_answer_and_so_is_the_reference(examples, sides):
    clock, said, models = sides
    setting = measuring(pairs=10, seconds=0.5, throughput_batch=8)
    measure = Latency(clocks=Clocks(wall=clock, processor=clock))
    found = measure.round(*models, number=0, device="cpu", measuring=setting.measuring, examples=examples)
    names = measure.probes(setting.measuring, KINDS.get("classification"))
    reading = measure.read(paired(models, setting, apart={"latency": dict(zip(names, [(found,)], strict=True))}))
    assert reading.values["latency_p50_s"] == pytest.approx(FUNCTION_S)
    assert reading.reference["latency_p50_s"] == pytest.approx(CALL_S + TOKENIZE_S)
    assert reading.values["speedup"] == pytest.approx((CALL_S + TOKENIZE_S) / FUNCTION_S)
    assert reading.values["throughput_eps"] == pytest.approx(1 / FUNCTION_S)
    assert "tokenisation is timed, of both" in reading.conditions["inputs"]
    assert "from text to answer" in dict(reading.warnings)["real-lengths"]
    assert {len(texts) for texts in said} == {1, 8}
    assert set(reading.values) | set(reading.absent) == set(Latency.columns)


def test_the_examples_are_spread_over_the_lengths_and_always_the_same(examples, sides):
    _, _, models = sides
    found, again = (asked(*models, examples) for _ in range(2))
    assert found.examples == again.examples
    assert len(found.examples) == CHOSEN
    assert {len(each.text.split()) for each in found.examples} == {1, 2, 3, 4, 5, 6}
    with pytest.raises(ModelError, match="have their own lengths"):
        found.sides(*models, 1, 32, measuring=measuring().measuring, device="cpu")


def test_two_networks_are_not_asked(examples, sides):
    assert asked(sides[2][1], sides[2][1], examples) is None


def test_nobody_knows_what_runs_a_function(sides):
    setting = measuring()
    function, reference = sides[2]
    pair = SimpleNamespace(artifact=function, reference=reference, setting=setting, closed=CLOSED)
    reading = MEASURES.get("runtime").read(pair)
    assert reading.absent == {"graph_difference": CLOSED}
    assert reading.conditions["runtime"] == {"runtime": "unknown"}
    assert reading.conditions["reference_runtime"]["runtime"] == "eager"


@pytest.mark.parametrize("name", [name for name, plugin in MEASURES.items() if not plugin.asks])
def test_a_measure_that_looks_inside_leaves_every_column_of_a_function_absent(name):
    task = make_task()
    function = make_loaded("given", TextFunction("made:function", len))
    pair = Pair(
        task=task,
        setting=measuring(),
        artifact=function,
        reference=make_loaded("reference"),
        artifact_dir=function.directory,
        reference_dir=function.directory,
        evaluator=None,
        device="cpu",
        seed=0,
        is_reference=False,
        made=function.manifest,
    )
    reading = _taken(name, MEASURES.get(name), pair)
    assert (reading.values, reading.absent) == ({}, dict.fromkeys(MEASURES.get(name).columns, CLOSED))
