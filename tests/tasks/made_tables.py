"""A task whose data are described in place, and files for it."""

import json

from bench.spec.suite import Task
from bench.tasks.data import load_data, settled
from bench.tasks.sources.table import source_of


def task(kind="classification", *, data, **changes):
    metrics = {"classification": ("accuracy",), "regression": ("pearson",), "span_qa": ("f1",)}.get(kind, ("bleu",))
    return Task(name="t", kind=kind, **{"metrics": metrics, "evaluate": ("train",), **changes}, data=data)


def write(folder, name, content, *, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def load(folder, *, kind="classification", labels=("no", "yes"), changes=None, checked=True, **data):
    """The data of one task, whose training split is also evaluated, checked by its kind or as the source has them."""
    given = {"files": {"train": "train"}, "columns": {"text": "text", "label": "label"}, **data}
    wanted = task(kind, data=given, labels=labels if kind == "classification" else (), **(changes or {}))
    if not checked:
        return source_of(wanted, where="t").load(wanted, data_dir=folder)
    return load_data(settled(wanted, data_dir=folder), data_dir=folder)


def rows(data, split="train"):
    return [(example.text, example.label) for example in data.splits[split]]


def as_lines(*entries):
    return "".join(json.dumps(entry) + "\n" for entry in entries)
