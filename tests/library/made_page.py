"""A suite that takes seconds, and the page that is run with it."""

from __future__ import annotations

from pathlib import Path

SUITE = """
name = "my-suite"
title = "A tiny generated suite"
generated = true
model = "demo-bert"
[setting]
max_length = 16
[setting.training]
epochs = 1
[setting.measuring]
country = "USA"
threads = 1
length = 8
skip = ["latency", "decoding", "start", "memory", "carbon", "attack"]
train_examples = 4
[[tasks]]
name = "sentiment"
kind = "classification"
labels = ["negative", "positive"]
metrics = ["accuracy"]
data = { source = "generated", subset = "sentiment" }
train_examples = 32
evaluate_examples = 8
"""
PAGE = Path(__file__).parents[2] / "docs" / "library.md"
