"""The share map: which stored layer each position runs, and how positions come to run one module."""
