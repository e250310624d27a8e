"""Columns of time."""

from bench.columns.column import Column

_MLPERF = "MLPerf inference rules, early stopping at confidence 0.99 (mlcommons/inference_policies)"
_PAIRED = "ours: ratio of floors over interleaved pairs in several processes; evidence in benchmarks/README.md"
_TOGETHER = "measures/test_timing_rounds.py::test_the_interval_knows_how_processes_differ"
_REAL = "ours: as speedup, on evaluation examples of all lengths at batch size 1"
_REAL_TIMES = "measures/test_real_lengths.py::test_the_columns_are_the_means_over_examples_that_run_alone"
_FAKES = "measures/test_latency.py::test_fake_models_of_known_time_give_every_column_exactly"
_GATED = "measures/test_latency.py::test_percentiles_with_too_few_samples_are_absent_with_both_numbers_in_the_reason"
_KNOWN = "measures/test_timing_pairs.py::test_the_interval_of_a_known_ratio_contains_it_and_narrows_with_pairs"

COLUMNS = (
    *Column(
        "latency_p50_s",
        says="median seconds per batch of the stated size, after warm-up",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source="systems.md M3: median over steady calls, device synchronised",
        oracle="measures/test_latency.py::test_a_sleeping_model_of_10_ms_measures_10_ms_within_a_fifth",
    ).with_interval(
        "95 % interval of latency_p50_s, from the medians of the processes",
        source="Student's t over the logarithms of the processes' medians",
        oracle="measures/test_timing_rounds.py::test_the_spread_of_processes_is_the_t_interval_of_their_logarithms",
    ),
    Column(
        "latency_p90_s",
        says="90th percentile of seconds per batch, after warm-up; needs 64 samples",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source=_MLPERF,
        oracle=_GATED,
    ),
    Column(
        "latency_p99_s",
        says="99th percentile of seconds per batch, after warm-up; needs 662 samples",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source=_MLPERF,
        oracle=_GATED,
    ),
    Column(
        "latency_mad_s",
        says="median absolute deviation of seconds per batch, after warm-up",
        kind="measurement",
        show="seconds",
        unit="s",
        source="median absolute deviation, not scaled",
        oracle="base/test_statistics.py::test_median_and_mad_by_hand",
    ),
    Column(
        "latency_undisturbed_s",
        says="seconds per batch without other load on the machine: sum over laps of each lap's 3 % quantile",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source=_PAIRED,
        oracle="measures/test_timing_pairs.py::test_the_floor_is_the_time_without_disturbance",
    ),
    Column(
        "load_s",
        says="seconds to load a model from disk until it can be called",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source="systems.md M3",
        oracle="measures/test_start.py::test_loading_and_the_first_call_are_timed_apart",
    ),
    Column(
        "first_call_s",
        says="seconds of the first call after loading",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source="systems.md M3",
        oracle="measures/test_start.py::test_loading_and_the_first_call_are_timed_apart",
    ),
    Column(
        "throughput_eps",
        says="examples per second at the stated throughput batch",
        kind="measurement",
        show="number",
        unit="examples/s",
        better="higher",
        source="systems.md M3: batch size over the median call",
        oracle=_FAKES,
    ),
    *Column(
        "speedup",
        says="reference time over artifact time, both undisturbed, from interleaved pairs",
        kind="measurement",
        show="ratio",
        better="higher",
        source=_PAIRED,
        oracle=_KNOWN,
        mean="geometric",
        relative="ratio",
    ).with_interval(
        "95 % interval of speedup over processes",
        source=_PAIRED,
        oracle=_TOGETHER,
    ),
    Column(
        "speedup_observed",
        says="median ratio of all pairs as measured, including other load on the machine",
        kind="measurement",
        show="ratio",
        better="higher",
        source="measuring.md §2: median of interleaved pairs",
        oracle=_FAKES,
        relative="ratio",
    ),
    Column(
        "latency_real_p50_s",
        says="median of mean seconds per evaluation example, batch 1, own length without padding, after warm-up",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source=_REAL,
        oracle=_REAL_TIMES,
    ),
    Column(
        "latency_real_undisturbed_s",
        says="as latency_real_p50_s, without other load on the machine: sum over laps of each lap's 3 % quantile",
        kind="measurement",
        show="seconds",
        unit="s",
        better="lower",
        source=_REAL,
        oracle=_REAL_TIMES,
    ),
    *Column(
        "speedup_real",
        says="speedup on evaluation examples, batch 1, own lengths without padding",
        kind="measurement",
        show="ratio",
        better="higher",
        source=_REAL,
        oracle=_REAL_TIMES,
        mean="geometric",
        relative="ratio",
    ).with_interval(
        "95 % interval of speedup_real over processes",
        source=_REAL,
        oracle=_TOGETHER,
    ),
)
