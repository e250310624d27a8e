"""Tiny checkpoints that know the words of the demo's generated tasks."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from families import make

from bench.artifacts.source import open_source
from bench.models.tokenizer import write_tokenizer
from bench.spec.suite import load_suite
from bench.tasks.data import load_data


@cache
def demo_tokenizer():
    """The tokenizer that the demo's built-in model trains on the sentiment task."""
    rows = load_data(load_suite("demo").task("sentiment"), data_dir=None).splits["train"]
    return open_source("demo-bert").tokenizer(lambda: (text for row in rows for text in row.texts))


def write_checkpoint(folder, names=("negative", "positive"), *, half=False, **sizes):
    """Save a tiny random BERT whose outputs are called `names` as transformers does; returns the folder as text."""
    tokenizer = demo_tokenizer()
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 128, **sizes}
    model = make("bert", labels=len(names), id2label=dict(enumerate(names)), **sizes)
    (model.half() if half else model).save_pretrained(folder)
    write_tokenizer(tokenizer, Path(folder))
    return str(folder)
