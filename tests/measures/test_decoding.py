"""Decoding: times on a clock of the test's own, and multiply-adds against closed forms."""

from types import SimpleNamespace

import pytest
from made_clock import Clock
from made_pairs import make_loaded, make_pair, make_task, missing
from made_sequences import joint_tokenizer, sequence_task, tiny_gpt2, tiny_marian

from bench.base.errors import BenchError
from bench.measures.base.inputs import made_inputs
from bench.measures.computation.trace import trace
from bench.measures.timing.decoding import Decoding
from bench.measures.timing.steady import Clocks
from bench.spec.setting import Measuring
from bench.tasks.kinds.kind import KINDS

LENGTH, WIDTH, FFN, VOCABULARY, LAYERS = 6, 32, 64, 20, 2


def pair_of(artifact, reference, *, kind="translation", **more):
    tokenizer = joint_tokenizer()
    sides = {
        "artifact": make_loaded("artifact", artifact, tokenizer),
        "reference": make_loaded("reference", reference, tokenizer),
    }
    quick = {"length": LENGTH, "processes": 1, "pairs": 8, "seconds": 0.01, "patience_seconds": 0.5}
    return make_pair(sequence_task(kind), None, **sides, **{**quick, **more})


def read(measure, pair):
    """The reading of the one process's round, as a run would have it."""
    plan = pair.setting.measuring
    try:
        found = measure.round(pair.artifact, pair.reference, number=0, device="cpu", measuring=plan)
    except BenchError as error:  # what a child's failure becomes
        found = str(error)
    return measure.combine([found], pair)


def timed_model(clock, *, encoder_s, step_s):
    """A tiny Marian whose encoder and whose decoder steps take as long as they are told, on the clock."""
    model = tiny_marian()

    def passing(seconds):
        def hook(*_):
            clock.now += seconds

        return hook

    model.get_encoder().register_forward_hook(passing(encoder_s))
    model.model.decoder.register_forward_hook(passing(step_s))
    return model


def ticking():
    """The measure on a clock that goes a millisecond each time that it is read, so that timing takes no time."""
    clock = Clock()

    def read():
        clock.now += 1e-3
        return clock.now

    return Decoding(clocks=Clocks(wall=read, processor=read))


def test_models_of_known_time_give_every_column_exactly():
    clock = Clock()
    measure = Decoding(clocks=Clocks(wall=clock, processor=clock))
    artifact = timed_model(clock, encoder_s=0.5, step_s=0.25)
    reference = timed_model(clock, encoder_s=1.0, step_s=0.5)
    reading = read(measure, pair_of(artifact, reference, seconds=1))
    assert missing(measure, reading) == []
    assert reading.values["decoding_sentence_s"] == pytest.approx(0.5 + LENGTH * 0.25)
    assert reading.reference["decoding_sentence_s"] == pytest.approx(1.0 + LENGTH * 0.5)
    assert (reading.values["decoding_token_s"], reading.reference["decoding_token_s"]) == (0.25, 0.5)
    for name in ("decoding_speedup", "decoding_speedup_low", "decoding_speedup_high"):
        assert reading.values[name] == pytest.approx(2.0)
    laps = reading.tables["decoding_laps"]["lap_s"]
    assert laps[0] == pytest.approx([0.5, *[0.25] * LENGTH])
    assert len(reading.samples["decoding_s"]) == 8


def test_encoder_and_decoder_add_up_to_the_whole_model():
    model = tiny_marian()
    reading = read(ticking(), pair_of(model, model))
    inputs = made_inputs(model, joint_tokenizer(), batch_size=1, length=LENGTH, device="cpu", seed=0)
    whole = trace(model, inputs)
    parts = reading.values["macs_encoder"] + LENGTH * reading.values["macs_decoder_token"]
    assert parts == whole.macs
    attention, products = 4 * LENGTH * WIDTH**2, 2 * LENGTH**2 * WIDTH
    ffn = 2 * LENGTH * WIDTH * FFN
    assert reading.values["macs_encoder"] == LAYERS * (attention + products + ffn)
    decoder = LAYERS * (2 * (attention + products) + ffn) + LENGTH * WIDTH * VOCABULARY
    assert reading.values["macs_decoder_token"] == decoder / LENGTH


def test_a_decoder_layer_that_runs_twice_is_timed_and_counted_twice():
    shared = tiny_marian()
    shared.model.decoder.layers[1] = shared.model.decoder.layers[0]
    reading = read(ticking(), pair_of(shared, tiny_marian()))
    assert reading.values["macs_decoder_token"] == reading.reference["macs_decoder_token"]
    assert reading.values["decoding_sentence_s"] > 0


@pytest.mark.parametrize("kind", ["language_modelling", "classification"])
def test_tasks_in_which_nothing_is_written_have_no_decoding(kind):
    task = sequence_task(kind) if kind == "language_modelling" else make_task(kind)
    assert Decoding().probes(Measuring(country="DEU"), KINDS.get(kind)) == ()
    reading = Decoding().read(SimpleNamespace(task=task, kind=KINDS.get(kind), apart={"decoding": {}}))
    assert missing(Decoding(), reading) == []
    assert reading.values == {}
    assert kind in reading.absent["decoding_token_s"]


def test_a_model_that_cannot_write_leaves_the_columns_with_the_reason():
    reading = read(ticking(), pair_of(tiny_gpt2(), tiny_marian()))
    assert missing(Decoding(), reading) == []
    assert "no encoder" in reading.absent["macs_encoder"]
    assert reading.absent["decoding_sentence_s"]
