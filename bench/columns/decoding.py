"""Columns of decoding: what it costs to write a text, for models that do."""

from bench.columns.column import Column

_OURS = "ours: greedy, batch 1, as many tokens as the stated length whatever the model would end with"
_TEST = "measures/test_decoding.py"
_KNOWN = f"{_TEST}::test_models_of_known_time_give_every_column_exactly"
_ROUNDS = "ours: as speedup_low and speedup_high"
_TOGETHER = "measures/test_timing_rounds.py::test_the_interval_knows_how_processes_differ"
_WHOLE = f"{_TEST}::test_encoder_and_decoder_add_up_to_the_whole_model"

COLUMNS = (
    Column(
        "decoding_sentence_s",
        says="median seconds to read a source of the stated length and write as many tokens, batch 1",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source=_OURS,
        oracle=_KNOWN,
    ),
    Column(
        "decoding_token_s",
        says="median seconds of a decoder step in the same, the encoder left out",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source=_OURS,
        oracle=_KNOWN,
    ),
    *Column(
        "decoding_speedup",
        says="reference time over artifact time of a sentence, both undisturbed, from interleaved pairs",
        kind="measurement",
        show="ratio",
        better="higher",
        source="ours: ratio of floors over interleaved pairs; evidence in benchmarks/README.md",
        oracle=_KNOWN,
        relative="ratio",
    ).with_interval(
        "95 % interval of decoding_speedup over processes",
        source=_ROUNDS,
        oracle=_TOGETHER,
    ),
    Column(
        "macs_encoder",
        says="multiply-adds of the encoder for one source of the stated length",
        kind="count",
        show="count",
        unit="MAC",
        better="lower",
        source="Wu et al. 2020 (Lite Transformer), arXiv:2004.11886, which counts for a stated length; "
        "the split is ours",
        oracle=_WHOLE,
    ),
    Column(
        "macs_decoder_token",
        says="multiply-adds of all but the encoder for a target of the stated length, per token",
        kind="count",
        show="count",
        unit="MAC",
        better="lower",
        source="ours: one pass over the whole target, so that encoder and decoder add up to the model",
        oracle=_WHOLE,
    ),
)
