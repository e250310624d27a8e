"""Columns of time."""

from bench.columns.column import Column

_MLPERF = "MLPerf inference rules, early stopping at confidence 0.99 (mlcommons/inference_policies)"
_PAIRED = "ours: ratio of floors over interleaved pairs in several processes; evidence in benchmarks/README.md"
_TOGETHER = "measures/test_timing_rounds.py::test_the_interval_knows_how_processes_differ"
_FAKES = "measures/test_latency.py::test_fake_models_of_known_time_give_every_column_exactly"
_GATED = "measures/test_latency.py::test_percentiles_with_too_few_samples_are_absent_with_both_numbers_in_the_reason"
_KNOWN = "measures/test_timing_pairs.py::test_the_interval_of_a_known_ratio_contains_it_and_narrows_with_pairs"

COLUMNS = (
    Column(
        "latency_p50_s",
        "s",
        "lower",
        "seconds",
        "median seconds a batch of the stated size, after warm-up",
        "systems.md M3: median over steady calls, device synchronised",
        "measures/test_latency.py::test_a_sleeping_model_of_10_ms_measures_10_ms_within_a_fifth",
    ),
    *(
        Column(
            f"latency_p50_s_{end}",
            "s",
            "lower",
            "seconds",
            f"{says} end of the 95 % interval of latency_p50_s, by the medians of the processes",
            "Student's t over the logarithms of the processes' medians",
            "measures/test_timing_rounds.py::test_the_spread_of_processes_is_the_t_interval_of_their_logarithms",
        )
        for end, says in (("low", "lower"), ("high", "upper"))
    ),
    Column("latency_p90_s", "s", "lower", "seconds", "90th percentile of the same; needs 64 samples", _MLPERF, _GATED),
    Column("latency_p99_s", "s", "lower", "seconds", "99th percentile of the same; needs 662 samples", _MLPERF, _GATED),
    Column(
        "latency_mad_s",
        "s",
        None,
        "seconds",
        "median absolute deviation of the same",
        "median absolute deviation, not scaled",
        "base/test_statistics.py::test_median_and_mad_by_hand",
    ),
    Column(
        "latency_undisturbed_s",
        "s",
        "lower",
        "seconds",
        "seconds a batch without the machine's other users: sum over laps of each lap's 3 % quantile",
        _PAIRED,
        "measures/test_timing_pairs.py::test_the_floor_is_the_time_without_disturbance",
    ),
    Column(
        "load_s",
        "s",
        "lower",
        "seconds",
        "seconds from files on disk to a model ready to be called",
        "systems.md M3",
        "measures/test_start.py::test_loading_and_the_first_call_are_timed_apart",
    ),
    Column(
        "first_call_s",
        "s",
        "lower",
        "seconds",
        "seconds of the first call after loading",
        "systems.md M3",
        "measures/test_start.py::test_loading_and_the_first_call_are_timed_apart",
    ),
    Column(
        "throughput_eps",
        "examples/s",
        "higher",
        "number",
        "examples a second at the stated throughput batch",
        "systems.md M3: batch size over the median call",
        _FAKES,
    ),
    Column(
        "speedup",
        "",
        "higher",
        "ratio",
        "reference time over artifact time, both undisturbed, from interleaved pairs",
        _PAIRED,
        _KNOWN,
    ),
    Column(
        "speedup_low",
        "",
        "higher",
        "ratio",
        "lower end of the 95 % interval of speedup over processes",
        _PAIRED,
        _TOGETHER,
    ),
    Column(
        "speedup_high",
        "",
        "higher",
        "ratio",
        "upper end of the 95 % interval of speedup over processes",
        _PAIRED,
        _TOGETHER,
    ),
    Column(
        "speedup_observed",
        "",
        "higher",
        "ratio",
        "median ratio of all pairs as they came, other load on the machine included",
        "measuring.md §2: median of interleaved pairs",
        _FAKES,
    ),
)
