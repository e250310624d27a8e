"""The data of a task, ready to use: read from its source, subsampled if the suite says so, and checked."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from bench.base.errors import DataError
from bench.tasks.examples import CORPUS, Example, TaskData
from bench.tasks.kinds.kind import KINDS
from bench.tasks.sources.source import SOURCES, needed_splits

if TYPE_CHECKING:
    from bench.spec.suite import Task


def load_data(task: Task, *, data_dir: Path | None) -> TaskData:
    """The splits that `task` uses, subsampled with the task's data seed; `notes` say "10000 of 67349" if they were.

    A subsample keeps the order of the data, and a larger one of the same seed holds the smaller one.

    Args:
        task: names the source, the splits and the sizes.
        data_dir: the user's folder of data sets, or None for the hub.

    Raises:
        DataError: data that cannot be had, an empty split, a label or an answer that does not fit the task.
        UnknownNameError: no such source or kind.
    """
    source = SOURCES.get(task.data.source, where=f"tasks.{task.name}.data.source")
    kind = KINDS.get(task.kind, where=f"tasks.{task.name}.kind")
    data = source.load(task, data_dir=data_dir)
    splits: dict[str, tuple[Example, ...]] = {}
    notes = list(data.notes)
    for split in (*needed_splits(task), *([CORPUS] if kind.searches else [])):
        examples = data.splits.get(split, ())
        if not examples:
            raise DataError(f"{task.name}: split '{split}' of {data.origin} has no examples; at least one is needed")
        for example in examples:
            kind.check(example, task, where=f"{task.name}: split '{split}', example {example.uid}")
        counts = {task.train: task.train_examples, CORPUS: None}
        count = counts.get(split, task.evaluate_examples)
        splits[split] = examples
        if count is not None and count < len(examples):
            splits[split] = _subsample(examples, count, seed=task.data.seed, split=split)
            purpose = "training" if split == task.train else split
            notes.append(f"{count} of {len(examples)} {purpose} examples (seed {task.data.seed})")
    return TaskData(
        splits=splits, origin=data.origin, revision=data.revision, generated=data.generated, notes=tuple(notes)
    )


def _subsample(examples: tuple[Example, ...], count: int, *, seed: int, split: str) -> tuple[Example, ...]:
    order = list(range(len(examples)))
    random.Random(f"{seed}:{split}").shuffle(order)
    return tuple(examples[row] for row in sorted(order[:count]))
