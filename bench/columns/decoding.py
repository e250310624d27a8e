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
        "s",
        "lower",
        "seconds",
        "median seconds to read a source of the stated length and write as many tokens, batch 1",
        _OURS,
        _KNOWN,
    ),
    Column(
        "decoding_token_s",
        "s",
        "lower",
        "seconds",
        "median seconds of a decoder step in the same, the encoder left out",
        _OURS,
        _KNOWN,
    ),
    Column(
        "decoding_speedup",
        "",
        "higher",
        "ratio",
        "reference time over artifact time of a sentence, both undisturbed, from interleaved pairs",
        "ours: ratio of floors over interleaved pairs; evidence in benchmarks/README.md",
        _KNOWN,
    ),
    Column(
        "decoding_speedup_low",
        "",
        "higher",
        "ratio",
        "lower end of the 95 % interval of decoding_speedup over processes",
        _ROUNDS,
        _TOGETHER,
    ),
    Column(
        "decoding_speedup_high",
        "",
        "higher",
        "ratio",
        "upper end of the 95 % interval of decoding_speedup over processes",
        _ROUNDS,
        _TOGETHER,
    ),
    Column(
        "macs_encoder",
        "MAC",
        "lower",
        "count",
        "multiply-adds of the encoder for one source of the stated length",
        "Wu et al. 2020 (Lite Transformer), arXiv:2004.11886, which counts for a stated length; the split is ours",
        _WHOLE,
    ),
    Column(
        "macs_decoder_token",
        "MAC",
        "lower",
        "count",
        "multiply-adds of all but the encoder for a target of the stated length, by token",
        "ours: one pass over the whole target, so that encoder and decoder add up to the model",
        _WHOLE,
    ),
)
