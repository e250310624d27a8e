"""A collection so small that a bi-encoder learns it in seconds: documents and queries of the same topic share words."""

from __future__ import annotations

import json
import random
from pathlib import Path

TOPICS = {
    "film": ("actor", "plot", "scene", "camera", "story"),
    "sea": ("ship", "wave", "harbour", "captain", "storm"),
    "food": ("bread", "soup", "kitchen", "spice", "dinner"),
    "music": ("song", "guitar", "melody", "rhythm", "singer"),
}
SUITE = """
name = "made-retrieval"
title = "A made collection"
generated = true
model = "demo-bert"
recipes = ["none"]
[setting]
max_length = 24
[setting.training]
epochs = 4
batch_size = 16
learning_rate = 1e-3
[setting.measuring]
country = "USA"
threads = 1
length = 8
processes = 2
pairs = 5
seconds = 0.05
throughput_batch = 2
energy_seconds = 0.2
energy_sample_s = 0.1
[[tasks]]
name = "made"
kind = "retrieval"
metrics = ["ndcg_at_10", "mrr_at_10", "recall_at_100"]
evaluate = ["test"]
[tasks.data]
files = { train = "queries.jsonl", test = "queries.jsonl" }
columns = { uid = "_id", text = "text" }
corpus = { files = { corpus = "corpus.jsonl" }, columns = { uid = "_id", text = "{title} {text}" } }
[tasks.data.judgements]
files = { train = "qrels/train.tsv", test = "qrels/test.tsv" }
columns = { uid = "query-id", relevant = "corpus-id", label = "score" }
"""


def write_collection(folder: Path, *, documents: int = 120, queries: int = 40) -> None:
    """In BEIR's layout: every other query is a training query; documents of the query's topic are relevant."""
    draws = random.Random(0)
    corpus, asked = [], []
    for number in range(documents):
        topic = list(TOPICS)[number % len(TOPICS)]
        corpus.append({"_id": f"d{number}", "title": topic, "text": " ".join(draws.choices(TOPICS[topic], k=6))})
    grades: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(queries):
        topic = list(TOPICS)[number % len(TOPICS)]
        asked.append({"_id": f"q{number}", "text": "the " + " ".join(draws.choices(TOPICS[topic], k=3))})
        split = "train" if number % 8 < 4 else "test"
        for row in draws.sample(range(documents // len(TOPICS)), 3):
            uid = row * len(TOPICS) + number % len(TOPICS)
            grades[split].append(f"q{number}\td{uid}\t{draws.randint(1, 2)}")
        grades[split].append(f"q{number}\td{(number + 1) % documents}\t0")
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, rows in (("corpus", corpus), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    for split, lines in grades.items():
        text = "\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
