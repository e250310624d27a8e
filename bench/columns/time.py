"""Columns of time."""

from bench.columns.column import Column

COLUMNS = (
    Column("latency_p50_s", "s", "lower", "seconds", "median seconds a batch of the stated size, after warm-up"),
    Column("latency_p90_s", "s", "lower", "seconds", "90th percentile of the same; needs 64 samples"),
    Column("latency_p99_s", "s", "lower", "seconds", "99th percentile of the same; needs 662 samples"),
    Column("latency_mad_s", "s", None, "seconds", "median absolute deviation of the same"),
    Column("load_s", "s", "lower", "seconds", "seconds from files on disk to a model ready to be called"),
    Column("first_call_s", "s", "lower", "seconds", "seconds of the first call after loading"),
    Column("throughput_eps", "examples/s", "higher", "number", "examples a second at the stated throughput batch"),
    Column("speedup", "", "higher", "ratio", "reference time over artifact time, median of interleaved pairs"),
    Column("speedup_low", "", "higher", "ratio", "lower end of the 95 % bootstrap interval of speedup"),
    Column("speedup_high", "", "higher", "ratio", "upper end of the 95 % bootstrap interval of speedup"),
    Column("speedup_layers", "", "higher", "ratio", "layer-count proxy: reference layers over executed layers"),
)
