"""Quantization as five choices: grid, granularity, range, bit allocation and scheme."""
