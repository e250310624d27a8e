"""Columns of computation: what one example costs in operations."""

from bench.columns.column import Column

COLUMNS = (
    Column("macs", "MAC", "lower", "count", "multiply-adds executed for one example at the stated length"),
    Column("flops", "FLOP", "lower", "count", "2 * macs"),
    Column("macs_effective", "MAC", "lower", "count", "multiply-adds with a non-zero weight"),
    Column("bops", "bitop", "lower", "count", "sum of MACs * weight bits * activation bits"),
    Column("flops_coverage", "", None, "percent", "share of the heavy operator calls that could be counted"),
)
