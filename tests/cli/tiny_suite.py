"""A suite so small that a real run of it takes seconds."""

TINY = """
name = "tiny"
title = "A tiny generated suite"
generated = true
model = "demo-bert"
recipes = ["none", "int8"]
[setting]
max_length = 32
[setting.training]
epochs = 1
learning_rate = 1e-3
[setting.measuring]
country = "USA"
threads = 1
length = 8
processes = 2
pairs = 5
seconds = 0.05
patience_seconds = 0.3
sweep_seconds = 0.05
throughput_batch = 2
energy_seconds = 0.2
energy_sample_s = 0.1
attack_examples = 2
attack_queries = 5
train_examples = 8
[[tasks]]
name = "sentiment"
kind = "classification"
labels = ["negative", "positive"]
metrics = ["accuracy"]
data = { source = "generated", subset = "sentiment" }
ood = ["ood"]
train_examples = 32
evaluate_examples = 16
"""
