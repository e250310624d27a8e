"""Columns of storage and memory."""

from bench.columns.column import Column

COLUMNS = (
    Column("params", "", "lower", "count", "stored parameter elements, each once"),
    Column("params_nonzero", "", "lower", "count", "stored parameter elements that are not zero"),
    Column("params_embedding", "", "lower", "count", "stored elements of embedding tables"),
    Column("size_bytes", "B", "lower", "bytes", "weights and side data of the artifact on disk"),
    Column("compression", "", "higher", "ratio", "reference bytes over artifact bytes, both as artifacts on disk"),
    Column("memory_load_bytes", "B", "lower", "bytes", "peak memory added by loading, in a process of its own"),
    Column("memory_peak_bytes", "B", "lower", "bytes", "peak memory added by loading and inference, own process"),
)
